//! The APIs of the protocol: their numbers, names, versions, and the versions of the headers that go with them.

use std::fmt;
use std::ops::RangeInclusive;

pub use crate::messages::apis::ApiKey;

/// What is known of an API.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) name: &'static str,
    pub(crate) lowest: i16,
    pub(crate) highest: i16,
    pub(crate) latest_version_unstable: bool,
    /// The first version of the request that has tagged fields.
    pub(crate) request_flexible: i16,
    /// The first version of the response that has tagged fields.
    pub(crate) response_flexible: i16,
    pub(crate) on_broker: bool,
    pub(crate) on_controller: bool,
}

impl ApiKey {
    /// The number on the wire.
    pub const fn number(self) -> i16 {
        self as i16
    }

    /// Kafka's name, as `ListOffsets`.
    pub const fn name(self) -> &'static str {
        self.api().name
    }

    /// The versions that can be read and written, one that Kafka still calls unstable included.
    pub const fn versions(self) -> RangeInclusive<i16> {
        self.api().lowest..=self.api().highest
    }

    /// The versions that Kafka 4.3.1 tells of in its ApiVersions response: the stable ones. Produce begins at 0, which nobody
    /// serves, because librdkafka takes a broker that begins later for one of the last century (KAFKA-18659).
    pub const fn advertised_versions(self) -> RangeInclusive<i16> {
        let api = self.api();
        let lowest = if matches!(self, Self::Produce) {
            0
        } else {
            api.lowest
        };
        lowest..=if api.latest_version_unstable {
            api.highest - 1
        } else {
            api.highest
        }
    }

    /// Whether a request of this version can be read.
    pub const fn is_supported(self, version: i16) -> bool {
        self.api().lowest <= version && version <= self.api().highest
    }

    /// Whether brokers serve it.
    pub const fn is_on_broker(self) -> bool {
        self.api().on_broker
    }

    /// Whether controllers serve it.
    pub const fn is_on_controller(self) -> bool {
        self.api().on_controller
    }

    /// The version of the header before a request of this version, supported or not.
    pub const fn request_header_version(self, version: i16) -> i16 {
        if version >= self.api().request_flexible {
            2
        } else {
            1
        }
    }

    /// The version of the header before a response of this version.
    pub const fn response_header_version(self, version: i16) -> i16 {
        // A client that asks for versions does not know yet whether the broker has heard of tagged fields (KIP-511).
        if matches!(self, Self::ApiVersions) || version < self.api().response_flexible {
            0
        } else {
            1
        }
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_versions_follow_the_tagged_fields() {
        let cases = [
            (ApiKey::Produce, 8, 1, 0),
            (ApiKey::Produce, 9, 2, 1),
            (ApiKey::ApiVersions, 2, 1, 0),
            (ApiKey::ApiVersions, 3, 2, 0),
            (ApiKey::ApiVersions, 99, 2, 0),
            (ApiKey::SaslHandshake, 1, 1, 0),
        ];
        for (key, version, request, response) in cases {
            assert_eq!(key.request_header_version(version), request, "{key} {version}");
            assert_eq!(key.response_header_version(version), response, "{key} {version}");
        }
    }

    #[test]
    fn what_is_advertised_departs_in_two_places_from_what_is_read() {
        for key in ApiKey::ALL {
            assert_eq!(ApiKey::from_i16(key.number()), Some(*key));
            match key {
                ApiKey::Produce => assert_eq!((key.advertised_versions(), key.versions()), (0..=13, 3..=13)),
                ApiKey::InitProducerId => {
                    assert_eq!((key.advertised_versions(), key.versions()), (0..=5, 0..=6));
                }
                _ => assert_eq!(key.advertised_versions(), key.versions(), "{key}"),
            }
        }
        assert_eq!(ApiKey::from_i16(4), None);
    }
}
