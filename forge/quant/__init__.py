"""Phase 4: 1.58-bit models (BitNet b1.58, arXiv 2402.17764) and their deployable, packed form."""
