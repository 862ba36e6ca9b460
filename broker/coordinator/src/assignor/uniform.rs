//! `uniform`: members get as equal a number of partitions as their subscriptions allow, and keep what they had as far as that allows.

mod heterogeneous;
mod homogeneous;

use std::collections::BTreeMap;

use forebay_protocol::Utf8Bytes;

use super::GroupSpec;
use crate::assignment::Assignment;

pub(super) fn assign(group: &GroupSpec<'_>) -> BTreeMap<Utf8Bytes, Assignment> {
    if group.is_homogeneous() {
        homogeneous::assign(group)
    } else {
        heterogeneous::assign(group)
    }
}
