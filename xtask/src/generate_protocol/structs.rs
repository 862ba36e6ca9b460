//! Generates the file of a message, and the list of all of them.

use std::fmt::Write as _;

use anyhow::ensure;

use super::code::{Context, default, field_type, is_natural_default};
use super::schema::{Message, Struct};
use super::{decode, encode, json, names};

/// Names that structures may not have, as the generated code has them already.
const TAKEN: [&str; 7] = ["Vec", "Option", "Result", "Some", "None", "Ok", "Err"];

/// The file of one message.
pub(super) fn file(message: &Message) -> anyhow::Result<String> {
    let mut code = String::new();
    for structure in &message.structs {
        ensure!(
            !TAKEN.contains(&structure.name.as_str()),
            "{} would hide what Rust means by it",
            structure.name
        );
        let context = Context { message, structure };
        ensure!(
            !context.possible().is_empty(),
            "{} is at no version",
            structure.name
        );
        code += &definition(context);
        let _ = writeln!(
            code,
            "impl {} {{\n{}\n{}\n{}}}\n",
            structure.name,
            decode::function(context),
            encode::function(context),
            json::function(context)
        );
    }
    code += &implementation(message);
    Ok(code)
}

fn definition(context: Context<'_>) -> String {
    let Struct { name, fields, .. } = context.structure;
    let natural = fields.iter().all(is_natural_default);
    let derive_default = if natural { "Default, " } else { "" };
    let mut code = format!("#[derive(Debug, Clone, {derive_default}PartialEq)]\npub struct {name} {{\n");
    for field in fields {
        let _ = writeln!(code, "pub {}: {},", names::field(&field.name), field_type(field));
    }
    if context.has_tags() {
        code += "pub unknown_tagged_fields: crate::TaggedFields,\n";
    }
    code += "}\n\n";
    if !natural {
        let _ = writeln!(
            code,
            "impl Default for {name} {{\nfn default() -> Self {{\nSelf {{"
        );
        for field in fields {
            let _ = writeln!(code, "{}: {},", names::field(&field.name), default(field));
        }
        if context.has_tags() {
            code += "unknown_tagged_fields: crate::TaggedFields::default(),\n";
        }
        code += "}\n}\n}\n\n";
    }
    code
}

fn implementation(message: &Message) -> String {
    let Message {
        name, valid_versions, ..
    } = message;
    let (lowest, highest) = (valid_versions.lowest, valid_versions.highest);
    format!(
        "impl crate::Message for {name} {{
            const NAME: &'static str = {name:?};
            const VERSIONS: std::ops::RangeInclusive<i16> = {lowest}..={highest};

            fn decode(reader: &mut crate::Reader, version: i16) -> Result<Self, crate::decode::Error> {{
                reader.begin(Self::NAME, version, &Self::VERSIONS)?;
                Self::read(reader, version)
            }}

            fn encode(&self, writer: &mut crate::Writer, version: i16) -> Result<(), crate::encode::Error> {{
                writer.begin(Self::NAME, version, &Self::VERSIONS)?;
                self.write(writer, version)
            }}

            #[cfg(feature = \"json\")]
            fn to_json(&self, version: i16) -> serde_json::Value {{
                self.json(version)
            }}
        }}\n"
    )
}

/// The file that lists the messages.
pub(super) fn index(messages: &[Message]) -> String {
    let mut code = String::from(
        "#![allow(missing_docs, unused_variables)] // fields are what Kafka's protocol guide says\n\
         #![allow(clippy::too_many_lines, clippy::needless_pass_by_value)]\n\n\
         pub mod apis;\npub mod record_types;\n",
    );
    for message in messages {
        let _ = writeln!(code, "pub mod {};", names::snake(&message.name));
    }
    for message in messages {
        let _ = writeln!(code, "pub use {}::{};", names::snake(&message.name), message.name);
    }
    let _ = writeln!(
        code,
        "/// Calls a macro with the name of every message, separated by commas.
        #[macro_export]
        macro_rules! every_message {{ ($apply:ident) => {{ $apply! {{ {} }} }}; }}",
        messages
            .iter()
            .map(|message| message.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    );
    code
}
