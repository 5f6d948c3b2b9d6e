//! TensorFlow Lite on a processor.

use super::common;
use super::rule::Check;

pub(super) const RULES: &[Check] = &[
    common::tensorflow_lite,
    common::no_edgetpu,
    common::custom_ops,
    common::input_picture,
    common::static_shapes,
    common::integer_weights,
    common::known_head,
];
