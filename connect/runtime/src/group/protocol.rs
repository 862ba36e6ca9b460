//! What workers tell each other through the group's coordinator, which does not look into it (Kafka's `ConnectProtocol` and
//! `IncrementalCooperativeConnectProtocol`): to the byte as Kafka's workers have it, so that both can be in one group.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use forebay_client::membership;
use forebay_connect_api::TaskId;
use forebay_protocol::{Reader, Utf8Bytes, Writer, decode, encode};

use super::work::Work;

/// A connector itself, among the numbers of its tasks.
const CONNECTOR_TASK: i32 = -1;

/// A connector takes at least the lengths of its name and its tasks.
const CONNECTOR_BYTES_MIN: usize = 6;

/// The versions of the protocol, which are its modes, too (Kafka's `ConnectProtocolCompatibility`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Protocol {
    /// All give up everything before they join.
    Eager,
    /// All keep what they have until it is taken from them (KIP-415).
    Compatible,
    /// As before, and requests between workers are signed (KIP-507).
    Sessioned,
}

impl Protocol {
    /// From the newest to the oldest, as they are offered.
    const ALL: [Self; 3] = [Self::Sessioned, Self::Compatible, Self::Eager];

    /// As `connect.protocol` has it.
    pub(crate) fn from_mode(mode: &str) -> Option<Self> {
        match mode.to_ascii_lowercase().as_str() {
            "eager" => Some(Self::Eager),
            "compatible" => Some(Self::Compatible),
            "sessioned" => Some(Self::Sessioned),
            _ => None,
        }
    }

    /// As the coordinator knows it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Eager => "default",
            Self::Compatible => "compatible",
            Self::Sessioned => "sessioned",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }

    const fn version(self) -> i16 {
        match self {
            Self::Eager => 0,
            Self::Compatible => 1,
            Self::Sessioned => 2,
        }
    }
}

/// What a worker tells (Kafka's `ExtendedWorkerState`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkerState {
    /// Where other workers reach its REST API.
    pub(crate) url: String,
    /// How far it has read the config topic: the offset behind the last record; -1 if there was none.
    pub(crate) offset: i64,
    /// What it has, as of its last assignment; `None` if there was none.
    pub(crate) assignment: Option<Assignment>,
}

/// Whether the leader could assign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has.
    Assigned,
    /// Somebody has read further than the leader could: all have to read to the end of the config topic and join again.
    ConfigMismatch,
    /// What no version that we know says.
    Unknown(i16),
}

impl Assignment {
    /// Whether the leader has shared out.
    pub(crate) fn is_shared_out(&self) -> bool {
        self.outcome == Outcome::Assigned
    }
}

impl Outcome {
    const fn code(self) -> i16 {
        match self {
            Self::Assigned => 0,
            Self::ConfigMismatch => 1,
            Self::Unknown(code) => code,
        }
    }

    const fn from_code(code: i16) -> Self {
        match code {
            0 => Self::Assigned,
            1 => Self::ConfigMismatch,
            code => Self::Unknown(code),
        }
    }
}

/// What a worker is told by the leader (Kafka's `ExtendedAssignment`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// Whether there is one.
    pub(crate) outcome: Outcome,
    /// The leader's member id.
    pub(crate) leader: String,
    /// Where its REST API is.
    pub(crate) leader_url: String,
    /// The config offset that it was made from.
    pub(crate) offset: i64,
    /// What the worker gets; in answers to [`Protocol::Compatible`] and later beside what it has.
    pub(crate) assigned: Work,
    /// What it has to give up.
    pub(crate) revoked: Work,
    /// After how many milliseconds to join again; 0: not because of this.
    pub(crate) delay_ms: i32,
}

/// What a worker offers under a mode: this version and all before it.
pub(crate) fn offers(
    mode: Protocol,
    state: &WorkerState,
) -> Result<Vec<membership::Protocol>, encode::Error> {
    Protocol::ALL
        .into_iter()
        .filter(|protocol| *protocol <= mode)
        .map(|protocol| {
            Ok(membership::Protocol {
                name: protocol.name(),
                metadata: encode_state(protocol, state)?,
            })
        })
        .collect()
}

pub(crate) fn encode_state(protocol: Protocol, state: &WorkerState) -> Result<Bytes, encode::Error> {
    let mut writer = Writer::new();
    writer.i16(protocol.version());
    writer.string("url", &Utf8Bytes::from(state.url.as_str()), false)?;
    writer.i64(state.offset);
    if protocol > Protocol::Eager {
        let assignment = state.assignment.as_ref();
        let assignment = assignment.map(|assignment| encode_assignment(protocol, assignment));
        writer.nullable_bytes("allocation", assignment.transpose()?.as_ref(), false)?;
    }
    writer.finish_bytes()
}

/// Reads what a worker tells, as far as its version goes.
pub(crate) fn decode_state(bytes: Bytes) -> Result<WorkerState, decode::Error> {
    let mut reader = Reader::new(bytes);
    let _version = reader.i16()?;
    let url = reader.string("url", false)?.to_string();
    let offset = reader.i64()?;
    let allocation = match reader.remaining() {
        0 => None,
        _ => reader.nullable_bytes("allocation", false)?,
    };
    let assignment = allocation.map(decode_assignment).transpose()?;
    Ok(WorkerState {
        url,
        offset,
        assignment,
    })
}

pub(crate) fn encode_assignment(protocol: Protocol, assignment: &Assignment) -> Result<Bytes, encode::Error> {
    let mut writer = Writer::new();
    writer.i16(protocol.version());
    writer.i16(assignment.outcome.code());
    writer.string("leader", &Utf8Bytes::from(assignment.leader.as_str()), false)?;
    writer.string(
        "leader-url",
        &Utf8Bytes::from(assignment.leader_url.as_str()),
        false,
    )?;
    writer.i64(assignment.offset);
    encode_work(&mut writer, &assignment.assigned)?;
    if protocol > Protocol::Eager {
        encode_work(&mut writer, &assignment.revoked)?;
        writer.i32(assignment.delay_ms);
    }
    writer.finish_bytes()
}

/// Reads what the leader says, as far as its version goes.
pub(crate) fn decode_assignment(bytes: Bytes) -> Result<Assignment, decode::Error> {
    let mut reader = Reader::new(bytes);
    let _version = reader.i16()?;
    let outcome = Outcome::from_code(reader.i16()?);
    let leader = reader.string("leader", false)?.to_string();
    let leader_url = reader.string("leader-url", false)?.to_string();
    let offset = reader.i64()?;
    let assigned = decode_work(&mut reader)?;
    let revoked = decode_work(&mut reader)?;
    let delay_ms = match reader.remaining() {
        0 => 0,
        _ => reader.i32()?,
    };
    Ok(Assignment {
        outcome,
        leader,
        leader_url,
        offset,
        assigned,
        revoked,
        delay_ms,
    })
}

/// By connector: its name, then -1 for itself and the numbers of its tasks.
fn encode_work(writer: &mut Writer, work: &Work) -> Result<(), encode::Error> {
    let mut by_connector: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for name in &work.connectors {
        by_connector.entry(name).or_default().push(CONNECTOR_TASK);
    }
    for id in &work.tasks {
        let tasks = by_connector.entry(&id.connector).or_default();
        tasks.push(i32::try_from(id.task).unwrap_or(i32::MAX));
    }
    writer.array_length("assignment", by_connector.len(), false)?;
    for (name, tasks) in by_connector {
        writer.string("connector", &Utf8Bytes::from(name), false)?;
        writer.array_length("tasks", tasks.len(), false)?;
        tasks.into_iter().for_each(|task| writer.i32(task));
    }
    Ok(())
}

fn decode_work(reader: &mut Reader) -> Result<Work, decode::Error> {
    let mut work = Work::default();
    if reader.remaining() == 0 {
        return Ok(work);
    }
    let connectors = reader.nullable_array("assignment", false, CONNECTOR_BYTES_MIN, |reader| {
        let name = reader.string("connector", false)?;
        let tasks = reader.array("tasks", false, size_of::<i32>(), Reader::i32)?;
        Ok((Arc::<str>::from(&*name), tasks))
    })?;
    for (name, tasks) in connectors.unwrap_or_default() {
        for task in tasks {
            match u32::try_from(task) {
                Ok(task) => {
                    let connector = Arc::clone(&name);
                    work.tasks.insert(TaskId { connector, task });
                }
                Err(_) => {
                    work.connectors.insert(Arc::clone(&name));
                }
            }
        }
    }
    Ok(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(connectors: &[&str], tasks: &[(&str, u32)]) -> Work {
        Work {
            connectors: connectors.iter().map(|name| (*name).into()).collect(),
            tasks: tasks
                .iter()
                .map(|(connector, task)| TaskId {
                    connector: (*connector).into(),
                    task: *task,
                })
                .collect(),
        }
    }

    fn assignment() -> Assignment {
        Assignment {
            outcome: Outcome::Assigned,
            leader: "leader".to_owned(),
            leader_url: "http://a:8083/".to_owned(),
            offset: 17,
            assigned: work(&["c"], &[("c", 0), ("d", 1)]),
            revoked: work(&["e"], &[]),
            delay_ms: 1000,
        }
    }

    /// Laid out by hand after Kafka's schemas; the suite beside the real worker shows that it reads ours.
    #[test]
    fn the_bytes_are_kafkas() {
        let state = WorkerState {
            url: "u".to_owned(),
            offset: 3,
            assignment: None,
        };
        let plain = [0, 1, b'u', 0, 0, 0, 0, 0, 0, 0, 3];
        let eager = encode_state(Protocol::Eager, &state).expect("it is short");
        assert_eq!(&*eager, [&[0, 0][..], &plain].concat());
        let sessioned = encode_state(Protocol::Sessioned, &state).expect("it is short");
        assert_eq!(&*sessioned, [&[0, 2][..], &plain, &[0xff; 4]].concat());
        let assigned = encode_assignment(Protocol::Compatible, &assignment()).expect("it is short");
        let mut expected = vec![0, 1, 0, 0, 0, 6];
        expected.extend(b"leader\0\x0ehttp://a:8083/");
        expected.extend([0, 0, 0, 0, 0, 0, 0, 17]);
        expected.extend([0, 0, 0, 2]);
        expected.extend([0, 1, b'c', 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        expected.extend([0, 1, b'd', 0, 0, 0, 1, 0, 0, 0, 1]);
        expected.extend([0, 0, 0, 1, 0, 1, b'e', 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]);
        expected.extend([0, 0, 3, 0xe8]);
        assert_eq!(&*assigned, &expected[..]);
    }

    #[test]
    fn what_is_told_is_understood_under_every_version() {
        for protocol in Protocol::ALL {
            let told = encode_assignment(protocol, &assignment()).expect("it is short");
            let read = decode_assignment(told.clone()).expect("our own");
            let mut expected = assignment();
            if protocol == Protocol::Eager {
                (expected.revoked, expected.delay_ms) = (Work::default(), 0);
            }
            assert_eq!(read, expected, "{protocol:?}");
            let state = WorkerState {
                url: "http://b:8083/".to_owned(),
                offset: -1,
                assignment: Some(assignment()).filter(|_| protocol > Protocol::Eager),
            };
            let told = encode_state(protocol, &state).expect("it is short");
            assert_eq!(
                decode_state(told.clone()).expect("our own"),
                state,
                "{protocol:?}"
            );
            // A later version has more behind what we know.
            let later = [&told[..], b"more"].concat();
            assert!(decode_state(later.into()).is_ok() || protocol == Protocol::Eager);
            for cut in 0..told.len() {
                // Some cuts fall between fields, after which older versions end. None may panic.
                let _ = decode_state(told.slice(..cut));
            }
        }
        let endless: &[u8] = &[
            0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff,
        ];
        assert!(decode_assignment(Bytes::copy_from_slice(endless)).is_err());
    }

    #[test]
    fn a_mode_offers_itself_and_what_was_before_it() {
        let state = WorkerState {
            url: String::new(),
            offset: -1,
            assignment: None,
        };
        for (mode, names) in [
            ("eager", &["default"][..]),
            ("COMPATIBLE", &["compatible", "default"]),
            ("sessioned", &["sessioned", "compatible", "default"]),
        ] {
            let mode = Protocol::from_mode(mode).expect("Kafka's");
            let offered = offers(mode, &state).expect("they are short");
            let offered: Vec<_> = offered.iter().map(|offer| offer.name).collect();
            assert_eq!(offered, names);
        }
        assert_eq!(Protocol::from_mode("default"), None);
        assert_eq!(Protocol::from_name("default"), Some(Protocol::Eager));
    }
}
