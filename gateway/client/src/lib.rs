//! gateway/client
