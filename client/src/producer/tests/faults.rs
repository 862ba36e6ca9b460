//! Whatever happens to requests and answers, the producer's promises hold. Chance has a seed, time is virtual.

use std::future::Future;

use proptest::prelude::*;

use super::*;

/// What a run under faults did.
struct Outcome {
    acknowledged: Vec<Vec<(String, Option<Offset>)>>,
    failed: Vec<Error>,
}

/// Sends numbered records to two partitions while brokers fail in every way at the given rate (in percent).
async fn under_faults(
    model: &Arc<Model>,
    seed: u64,
    rate: u64,
    records: usize,
    pairs: &[(&str, &str)],
) -> Outcome {
    let mut state = seed;
    let mut random = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    model.create_topic("t", 2);
    let mover = Arc::downgrade(model);
    let mut moves = 0;
    model.faults(move |_, request| {
        if !matches!(request, Request::Produce(_)) || random(100) >= rate {
            return Fault::None;
        }
        match random(8) {
            0 | 1 => Fault::LoseRequest,
            2 | 3 => Fault::LoseResponse,
            4 => Fault::Hang,
            5 => Fault::Refuse(ErrorCode::NotEnoughReplicas),
            6 => Fault::Refuse(ErrorCode::CoordinatorLoadInProgress),
            _ => {
                // The lock is held here, so the move happens beside.
                if let Some(model) = mover.upgrade() {
                    moves += 1;
                    let (partition, leader) = (moves % 2, moves % 3 + 1);
                    tokio::spawn(async move {
                        model.move_leader("t", partition, i32::try_from(leader).expect("few"));
                    });
                }
                Fault::None
            }
        }
    });
    let producer = model.producer(pairs);
    let mut futures = [Vec::new(), Vec::new()];
    for number in 0..records {
        let partition = number % 2;
        let value = number.to_string();
        let record = ProducerRecord::new("t", None, Some(value.as_bytes()))
            .partition(i32::try_from(partition).expect("0 or 1"));
        futures[partition].push((value.clone(), producer.send(record).await.expect("accepted")));
        if number % 7 == 0 {
            tokio::time::sleep(Duration::from_millis(number as u64 % 5)).await;
        }
    }
    producer.flush().await;
    let mut outcome = Outcome {
        acknowledged: Vec::new(),
        failed: Vec::new(),
    };
    for futures in futures {
        let mut acknowledged = Vec::new();
        for (value, future) in futures {
            match future.await {
                Ok(metadata) => acknowledged.push((value, metadata.offset)),
                Err(error) => outcome.failed.push(error),
            }
        }
        outcome.acknowledged.push(acknowledged);
    }
    outcome
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.expect("a runtime").block_on(test)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens to requests and answers: every record once, in order, at the offset that was told.
    #[test]
    fn faults_neither_repeat_nor_reorder(seed: u64, rate in 5_u64..60, batch in 40_usize..400) {
        run(async {
            let model = Model::new(3);
            let batch = batch.to_string();
            let pairs = [
                ("batch.size", batch.as_str()),
                ("request.timeout.ms", "500"),
                ("delivery.timeout.ms", "1000000"),
            ];
            let outcome = under_faults(&model, seed, rate, 200, &pairs).await;
            assert!(outcome.failed.is_empty(), "{:?}", outcome.failed[0]);
            for (partition, acknowledged) in outcome.acknowledged.into_iter().enumerate() {
                let expected: Vec<String> = (0..200).filter(|number| number % 2 == partition).map(|number| number.to_string()).collect();
                assert_eq!(model.values("t", partition), expected);
                for ((_, offset), place) in acknowledged.into_iter().zip(0..) {
                    assert!(offset.is_none_or(|offset| offset == Offset(place)));
                }
            }
        });
    }

    /// When the time is too short for all, those that are acknowledged are there, none is there twice, and order holds.
    #[test]
    fn giving_up_loses_only_what_it_says(seed: u64, rate in 30_u64..80) {
        run(async {
            let model = Model::new(3);
            let pairs = [
                ("batch.size", "100"),
                ("linger.ms", "1"),
                ("request.timeout.ms", "100"),
                ("delivery.timeout.ms", "300"),
            ];
            let outcome = under_faults(&model, seed, rate, 200, &pairs).await;
            for (partition, acknowledged) in outcome.acknowledged.into_iter().enumerate() {
                let values = model.values("t", partition);
                let numbers: Vec<u32> = values.iter().map(|value| value.parse().expect("a number")).collect();
                assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
                for (value, offset) in acknowledged {
                    let place = values.iter().position(|other| *other == value).expect("acknowledged, so it is there");
                    assert!(offset.is_none_or(|offset| offset == Offset(i64::try_from(place).expect("small"))));
                }
            }
        });
    }
}
