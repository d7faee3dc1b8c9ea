"""Phase 8: smaller vocabulary, trained-in vector quantisation, entropy coding, the one-file agent."""
