//! Answers that come when nobody asks any more.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_answer_of_before_does_not_say_where_to_begin() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    model.append("t", 0, &["0", "1", "2", "3", "4"]);
    let mut consumer = earliest(&model, &[("group.id", "g")]);
    consumer.assign([partition(0)]).expect("nothing is subscribed");
    let commit = |offset: i64| [(partition(0), Offset(offset).into())].into();
    consumer.commit(&commit(1)).await.expect("committed");
    model.faults(|_, request| match request {
        Request::OffsetFetch(_) | Request::ListOffsets(_) => Fault::Delay(SECOND),
        _ => Fault::None,
    });
    // The partition is given up and comes back while its offset is asked for; its owner between has committed another.
    assert!(consumer.poll(SECOND / 10).await.expect("no error").is_empty());
    consumer.assign([]).expect("nothing is subscribed");
    consumer.commit(&commit(3)).await.expect("committed");
    consumer.assign([partition(0)]).expect("nothing is subscribed");
    assert_eq!(consumer.position(&partition(0)).await.expect("known"), Offset(3));
    // The end is asked for again, and has moved.
    consumer.seek_to_end(&[]).expect("assigned");
    consumer.poll(SECOND / 10).await.expect("no error");
    model.append("t", 0, &["5"]);
    consumer.seek_to_end(&[]).expect("assigned");
    assert_eq!(consumer.position(&partition(0)).await.expect("known"), Offset(6));
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_where_it_was_before_a_seek_is_not_given_out() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    model.append("t", 0, &["0", "1", "2"]);
    let mut consumer = earliest(&model, &[]);
    consumer.assign([partition(0)]).expect("nothing is subscribed");
    assert_eq!(consumer.poll(SECOND).await.expect("no error").len(), 3);
    // A fetch from offset 3 is under way by now, and waits.
    assert_eq!(consumer.poll(SECOND / 100).await.expect("no error").len(), 0);
    consumer.seek(&partition(0), Offset(1)).expect("assigned");
    model.append("t", 0, &["3"]);
    let mut seen = Vec::new();
    for _ in 0..5 {
        let records = consumer.poll(SECOND).await.expect("no error");
        seen.extend(records.iter().map(|record| record.record.offset.0));
    }
    assert_eq!(seen, [1, 2, 3]);
}
