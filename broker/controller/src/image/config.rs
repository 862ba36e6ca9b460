//! What configurations are set on (Kafka's `ConfigResource`).

use std::fmt;

use forebay_protocol::{NodeId, Utf8Bytes};

/// The kind of a resource, with Kafka's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i8)]
pub enum ResourceType {
    /// A topic.
    Topic = 2,
    /// A broker, or with an empty name all of them.
    Broker = 4,
    /// The log levels of a broker; never in the metadata log.
    BrokerLogger = 8,
    /// A subscription to clients' metrics (KIP-714).
    ClientMetrics = 16,
    /// A group (KIP-848).
    Group = 32,
}

impl ResourceType {
    /// The type with Kafka's number.
    pub fn of(number: i8) -> Option<Self> {
        Some(match number {
            2 => Self::Topic,
            4 => Self::Broker,
            8 => Self::BrokerLogger,
            16 => Self::ClientMetrics,
            32 => Self::Group,
            _ => return None,
        })
    }

    /// Kafka's number.
    pub fn number(self) -> i8 {
        self as i8
    }
}

/// Kafka's name, as its messages have it.
impl fmt::Display for ResourceType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Topic => "TOPIC",
            Self::Broker => "BROKER",
            Self::BrokerLogger => "BROKER_LOGGER",
            Self::ClientMetrics => "CLIENT_METRICS",
            Self::Group => "GROUP",
        })
    }
}

/// Something that has a configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigResource {
    /// Its kind.
    pub resource_type: ResourceType,
    /// Its name; of a broker, its id in decimal.
    pub name: Utf8Bytes,
}

impl ConfigResource {
    /// A topic.
    pub fn topic(name: impl Into<Utf8Bytes>) -> Self {
        Self {
            resource_type: ResourceType::Topic,
            name: name.into(),
        }
    }

    /// A group.
    pub fn group(name: impl Into<Utf8Bytes>) -> Self {
        Self {
            resource_type: ResourceType::Group,
            name: name.into(),
        }
    }

    /// One broker.
    pub fn broker(id: NodeId) -> Self {
        Self {
            resource_type: ResourceType::Broker,
            name: id.to_string().into(),
        }
    }

    /// All brokers: what holds where a broker has nothing of its own.
    pub fn default_broker() -> Self {
        Self {
            resource_type: ResourceType::Broker,
            name: Utf8Bytes::default(),
        }
    }
}
