"""Merging of models of equal shapes, the library behind `agent-forge merge`.

Linear, SLERP, TIES and DARE on state dicts; FrankenMerge; alignment of permuted units; model directories.
"""
