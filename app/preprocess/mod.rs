//! Frame → input tensor.
