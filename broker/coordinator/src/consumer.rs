//! A consumer group (KIP-848): members say what they subscribe to and own, the coordinator assigns, and moves each member from what it has to
//! what it is to have. All that such a group is stands in its records: this is what they amount to, and what follows from them.
//! What an API makes of a group is decided in `coordinator`.

mod classic_member;
mod group;
mod image;
mod member;
mod metadata_hash;
mod reconcile;
mod record;
mod regular_expression;
mod tally;
mod target;
mod work;

pub(crate) use classic_member::{ConsumerAssignment, ConsumerSubscription};
pub(crate) use group::ConsumerGroup;
pub use group::State as ConsumerGroupState;
pub use image::{ClusterImage, GroupConfig, NoCluster, Topic};
pub(crate) use member::{
    ClassicMetadata, CurrentAssignment, Member, MemberMetadata, MemberState, OwnedPartitions,
};
pub(crate) use reconcile::Reconciliation;
pub(crate) use record::{
    ConsumerKey, ConsumerValue, GroupEpoch, Part, ResolvedRegularExpression, TargetEpoch, decode_key,
    decode_value, encode,
};
pub(crate) use regular_expression::RegularExpression;
pub use regular_expression::{JudgedExpression, ResolvedExpressions, resolve as resolve_expressions};
#[cfg(test)]
pub(crate) use regular_expression::{
    LETTERS_AT_A_TIME, TABLES_MAX, TEXT_BYTES_MAX, WIDE_MAX, parsed_in_this_thread,
};
pub(crate) use target::next_target;
pub(crate) use work::Work;

/// The member epoch by which a member leaves (`LEAVE_GROUP_MEMBER_EPOCH`).
pub(crate) const LEAVE_EPOCH: i32 = -1;
/// The member epoch by which a static member leaves for a while (`LEAVE_GROUP_STATIC_MEMBER_EPOCH`).
pub(crate) const STATIC_LEAVE_EPOCH: i32 = -2;
