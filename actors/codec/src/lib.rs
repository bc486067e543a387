//! actors/codec
