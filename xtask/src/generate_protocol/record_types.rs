//! Generates the enums over the records of internal topics: those of `__cluster_metadata`, and the keys and values of
//! `__consumer_offsets`. (`__transaction_state` has one type of each.)

use std::fmt::Write as _;

use super::schema::Message;

/// The file of the record types.
pub(super) fn file(messages: &[Message]) -> String {
    let mut code = String::from("use super::*;\nuse crate::{Message as _, decode, encode};\n\n");
    let records = variants(messages, "metadata", "Record");
    code += &record_enum(
        "MetadataRecord",
        "A record of the `__cluster_metadata` topic.",
        &records,
    );
    let keys = variants(messages, "coordinator-key", "Key");
    code += &record_enum(
        "GroupRecordKey",
        "The key of a record in the `__consumer_offsets` topic.",
        &keys,
    );
    let values = variants(messages, "coordinator-value", "Value");
    code += &record_enum(
        "GroupRecordValue",
        "The value of a record in the `__consumer_offsets` topic.",
        &values,
    );
    code
}

/// The number, the short name and the message of each type.
fn variants<'a>(messages: &'a [Message], kind: &str, suffix: &str) -> Vec<(i16, &'a str, &'a Message)> {
    let mut variants: Vec<_> = messages
        .iter()
        .filter(|message| message.kind == kind && !message.name.starts_with("TransactionLog"))
        .map(|message| {
            let name = message.name.strip_suffix(suffix).unwrap_or(&message.name);
            (message.api_key.unwrap_or(-1), name, message)
        })
        .collect();
    variants.sort_by_key(|(number, ..)| *number);
    variants
}

fn record_enum(name: &str, documentation: &str, variants: &[(i16, &str, &Message)]) -> String {
    let mut code = format!(
        "/// {documentation}\n#[derive(Debug, Clone, PartialEq)]\n#[non_exhaustive]\npub enum {name} {{\n"
    );
    let arms = |arm: &dyn Fn(i16, &str, &str) -> String| {
        variants
            .iter()
            .map(|(number, variant, message)| arm(*number, variant, &message.name))
            .collect::<String>()
    };
    code += &arms(&|_, variant, message| format!("{variant}({message}),\n"));
    let _ = writeln!(
        code,
        "}}\n\nimpl {name} {{
            /// Kafka's number of the record type.
            pub const fn record_type(&self) -> i16 {{ match self {{ {} }} }}

            /// The highest version of the record type.
            pub const fn highest_version(&self) -> i16 {{ match self {{ {} }} }}

            /// Reads a bare message of a record type.
            pub(crate) fn decode(record_type: i16, version: i16, reader: &mut crate::Reader) -> Result<Self, decode::Error> {{
                match record_type {{
                    {}
                    number => Err(reader.error(decode::Cause::UnknownType {{ what: {name:?}, number: i64::from(number) }})),
                }}
            }}

            /// Writes the bare message.
            pub(crate) fn encode(&self, version: i16, writer: &mut crate::Writer) -> Result<(), encode::Error> {{
                match self {{ {} }}
            }}

            /// Kafka's name of the message, as `TopicRecord`.
            pub const fn name(&self) -> &'static str {{ match self {{ {} }} }}

            /// The bare message as Kafka's JsonConverter writes it.
            #[cfg(feature = \"json\")]
            pub fn to_json(&self, version: i16) -> serde_json::Value {{
                match self {{ {} }}
            }}
        }}\n",
        arms(&|number, variant, _| format!("Self::{variant}(_) => {number},\n")),
        arms(&|_, variant, message| {
            let highest = variants.iter().find(|(_, known, _)| *known == variant).map_or(0, |v| v.2.valid_versions.highest);
            let _ = message;
            format!("Self::{variant}(_) => {highest},\n")
        }),
        arms(&|number, variant, message| {
            format!("{number} => {message}::decode(reader, version).map(Self::{variant}),\n")
        }),
        arms(&|_, variant, _| format!("Self::{variant}(message) => message.encode(writer, version),\n")),
        arms(&|_, variant, message| format!("Self::{variant}(_) => {message}::NAME,\n")),
        arms(&|_, variant, _| format!("Self::{variant}(message) => message.to_json(version),\n")),
    );
    for (_, variant, message) in variants {
        let message = &message.name;
        let _ = writeln!(
            code,
            "impl From<{message}> for {name} {{ fn from(message: {message}) -> Self {{ Self::{variant}(message) }} }}\n"
        );
    }
    code
}
