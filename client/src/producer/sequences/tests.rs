//! The rules one by one; all of them together, against a broker that checks sequences, are in `producer/tests/faults.rs`.

use super::*;

const COUNT: i32 = 10;

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn sequences() -> Sequences {
    let mut sequences = Sequences::default();
    assert!(
        !sequences.may_send(&partition(), None),
        "not without a producer id"
    );
    sequences.set_identity(Identity {
        id: ProducerId(1),
        epoch: ProducerEpoch(0),
    });
    sequences
}

/// Sends batches of ten; the first of them is in.
fn begun(batches: i32) -> Sequences {
    let mut sequences = sequences();
    for batch in 0..batches {
        assert!(sequences.may_send(&partition(), None));
        assert_eq!(
            sequences.assign(&partition(), COUNT).base_sequence,
            Sequence(batch * COUNT)
        );
        if batch == 0 {
            sequences.acked(&partition(), Sequence(0));
        }
    }
    sequences
}

fn refusal(code: ErrorCode) -> Refusal {
    Refusal {
        code,
        log_start_offset_unknown: false,
    }
}

/// The sequences that the pending batches have after they got new ones: old base, new base, new epoch.
fn renumbered(sequences: &mut Sequences) -> Vec<(i32, i32, i16)> {
    let changes = sequences.settle().into_iter().flat_map(|(_, changes)| changes);
    changes
        .map(|(old, new)| (old.0, new.base_sequence.0, new.epoch.0))
        .collect()
}

#[test]
fn the_first_batch_goes_alone_and_no_more_than_a_broker_remembers_follow() {
    let mut sequences = sequences();
    sequences.assign(&partition(), COUNT);
    assert!(
        !sequences.may_send(&partition(), None),
        "a broker takes any sequence for its first"
    );
    sequences.acked(&partition(), Sequence(0));
    for _ in 0..WINDOW_BATCHES {
        assert!(sequences.may_send(&partition(), None));
        sequences.assign(&partition(), COUNT);
    }
    assert!(!sequences.may_send(&partition(), None));
    // Others being in does not help: the oldest would be forgotten.
    sequences.acked(&partition(), Sequence(2 * COUNT));
    assert!(!sequences.may_send(&partition(), None));
    sequences.acked(&partition(), Sequence(COUNT));
    assert!(sequences.may_send(&partition(), None));
}

#[test]
fn what_is_sent_again_goes_in_order_and_first() {
    let mut sequences = begun(4);
    for base in [1, 2, 3] {
        sequences.lost(&partition(), Sequence(base * COUNT));
    }
    assert!(!sequences.may_send(&partition(), None));
    assert!(!sequences.may_send(&partition(), Some(Sequence(2 * COUNT))));
    assert!(sequences.may_send(&partition(), Some(Sequence(COUNT))));
    sequences.resend(&partition(), Sequence(COUNT));
    assert!(
        !sequences.may_send(&partition(), Some(Sequence(COUNT))),
        "it is there already"
    );
    sequences.acked(&partition(), Sequence(COUNT));
    assert!(sequences.may_send(&partition(), Some(Sequence(2 * COUNT))));
}

#[test]
fn a_gap_renumbers_what_is_behind_it_but_only_once_nothing_is_in_doubt() {
    let mut sequences = begun(4);
    sequences.lost(&partition(), Sequence(3 * COUNT));
    let out_of_order = refusal(ErrorCode::OutOfOrderSequenceNumber);
    assert_eq!(
        sequences.refused(&partition(), Sequence(2 * COUNT), out_of_order),
        Verdict::Retry
    );
    assert_eq!(
        renumbered(&mut sequences),
        [],
        "it failed for the one before it, which is still there"
    );
    assert_eq!(
        sequences.refused(&partition(), Sequence(COUNT), out_of_order),
        Verdict::Retry
    );
    assert_eq!(
        renumbered(&mut sequences),
        [],
        "the last one may have been written"
    );
    assert!(
        !sequences.may_send(&partition(), Some(Sequence(COUNT))),
        "it waits for its new sequence"
    );
    assert!(
        sequences.may_send(&partition(), Some(Sequence(3 * COUNT))),
        "to find out"
    );
    sequences.resend(&partition(), Sequence(3 * COUNT));
    assert_eq!(
        sequences.refused(&partition(), Sequence(3 * COUNT), out_of_order),
        Verdict::Retry
    );
    assert_eq!(renumbered(&mut sequences), [(10, 0, 1), (20, 10, 1), (30, 20, 1)]);
    assert!(sequences.may_send(&partition(), Some(Sequence(0))));
}

#[test]
fn a_batch_given_up_for_what_it_is_leaves_no_hole() {
    let mut sequences = begun(3);
    assert_eq!(
        sequences.refused(&partition(), Sequence(COUNT), refusal(ErrorCode::InvalidRecord)),
        Verdict::Fail
    );
    sequences.failed(&partition(), Sequence(COUNT));
    let behind = refusal(ErrorCode::OutOfOrderSequenceNumber);
    assert_eq!(
        sequences.refused(&partition(), Sequence(2 * COUNT), behind),
        Verdict::Retry
    );
    assert_eq!(renumbered(&mut sequences), [(20, 0, 1)]);
}

#[test]
fn a_batch_given_up_in_doubt_is_settled_by_those_behind_it() {
    // It had arrived: the one behind it is taken.
    let mut sequences = begun(3);
    sequences.lost(&partition(), Sequence(COUNT));
    sequences.failed(&partition(), Sequence(COUNT));
    assert!(
        !sequences.may_send(&partition(), None),
        "nothing new before that is known"
    );
    sequences.acked(&partition(), Sequence(2 * COUNT));
    assert_eq!(renumbered(&mut sequences), []);
    assert!(sequences.may_send(&partition(), None));

    // It had not: the one behind it is refused.
    let mut sequences = begun(3);
    sequences.lost(&partition(), Sequence(COUNT));
    sequences.failed(&partition(), Sequence(COUNT));
    let out_of_order = refusal(ErrorCode::OutOfOrderSequenceNumber);
    assert_eq!(
        sequences.refused(&partition(), Sequence(2 * COUNT), out_of_order),
        Verdict::Retry
    );
    assert_eq!(renumbered(&mut sequences), [(20, 0, 1)]);

    // Nothing is behind it: the partition begins anew.
    let mut sequences = begun(2);
    sequences.lost(&partition(), Sequence(COUNT));
    sequences.failed(&partition(), Sequence(COUNT));
    assert_eq!(renumbered(&mut sequences), []);
    assert_eq!(sequences.assign(&partition(), COUNT).base_sequence, Sequence(0));
    assert_eq!(
        sequences.identity().map(|identity| identity.epoch),
        Some(ProducerEpoch(1))
    );
}

#[test]
fn a_lost_producer_state_begins_a_new_epoch_and_other_partitions_follow_when_they_rest() {
    let mut sequences = begun(2);
    let other = TopicPartition::new("t", 1);
    sequences.assign(&other, COUNT);
    let unknown = refusal(ErrorCode::UnknownProducerId);
    let not_yet = Refusal {
        log_start_offset_unknown: true,
        ..unknown
    };
    assert_eq!(
        sequences.refused(&partition(), Sequence(COUNT), not_yet),
        Verdict::Retry
    );
    assert_eq!(renumbered(&mut sequences), [], "the broker has not said enough");
    sequences.resend(&partition(), Sequence(COUNT));
    assert_eq!(
        sequences.refused(&partition(), Sequence(COUNT), unknown),
        Verdict::Retry
    );
    assert_eq!(renumbered(&mut sequences), [(10, 0, 1)]);
    assert!(
        !sequences.may_send(&other, None),
        "it has something under way in the old epoch"
    );
    sequences.acked(&other, Sequence(0));
    let producer = sequences.assign(&other, COUNT);
    assert_eq!(
        (producer.epoch, producer.base_sequence),
        (ProducerEpoch(1), Sequence(0))
    );
}

#[test]
fn a_split_batch_keeps_its_place_and_its_sequences() {
    let mut sequences = begun(3);
    sequences.refused(&partition(), Sequence(COUNT), refusal(ErrorCode::MessageTooLarge));
    sequences.split(&partition(), Sequence(COUNT), &[4, 6]);
    sequences.lost(&partition(), Sequence(2 * COUNT));
    for base in [10, 14, 20] {
        assert!(sequences.may_send(&partition(), Some(Sequence(base))), "{base}");
        sequences.resend(&partition(), Sequence(base));
        sequences.acked(&partition(), Sequence(base));
    }
    assert_eq!(
        sequences.assign(&partition(), COUNT).base_sequence,
        Sequence(3 * COUNT)
    );
}

#[test]
fn the_last_epoch_asks_for_a_new_producer_and_sequences_wrap() {
    let mut sequences = sequences();
    sequences.set_identity(Identity {
        id: ProducerId(1),
        epoch: ProducerEpoch(i16::MAX - 1),
    });
    sequences.assign(&partition(), COUNT);
    sequences.refused(
        &partition(),
        Sequence(0),
        refusal(ErrorCode::OutOfOrderSequenceNumber),
    );
    assert_eq!(renumbered(&mut sequences), []);
    assert_eq!(sequences.identity(), None);
    sequences.set_identity(Identity {
        id: ProducerId(2),
        epoch: ProducerEpoch(0),
    });
    assert_eq!(renumbered(&mut sequences), [(0, 0, 0)]);

    assert!(is_after(Sequence(3), Sequence(i32::MAX - 3)) && !is_after(Sequence(i32::MAX - 3), Sequence(3)));
}
