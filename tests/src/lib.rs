//! Whole-system tests live beside this file (`crash.py`, `powerloss/`); rules of the repository in `tests/`.
