//! Generates what counts the errors of a response: every `ErrorCode` that it has at a version, as Kafka's `errorCounts` of its responses.

use std::fmt::Write as _;

use super::names;
use super::schema::{Field, Kind, Message, Struct};

/// `Response::each_error_code`, given each API's name and response.
pub(super) fn function<'a>(responses: impl Iterator<Item = (&'a str, &'a Message)>) -> String {
    let mut arms = String::new();
    for (name, message) in responses {
        let visits = visits(message, &message.structs[0], "message", 0);
        let message = if visits.is_empty() { "_" } else { "message" };
        let _ = writeln!(arms, "Self::{name}({message}) => {{ {visits} }}");
    }
    format!(
        "impl Response {{
            /// Gives `visit` every error code that the response has at this version, success too.
            pub fn each_error_code(&self, version: i16, visit: &mut dyn FnMut(i16)) {{
                match self {{ {arms} }}
            }}
        }}\n\n"
    )
}

/// The visits to the codes in a structure; empty if it has none.
fn visits(message: &Message, structure: &Struct, value: &str, depth: usize) -> String {
    let mut code = String::new();
    for field in &structure.fields {
        let visit = visits_of_field(
            message,
            field,
            &format!("{value}.{}", names::field(&field.name)),
            depth,
        );
        if visit.is_empty() {
            continue;
        }
        let (versions, all) = (field.versions, message.valid_versions);
        if versions.intersect(all) == all {
            code += &visit;
        } else {
            let versions = versions.intersect(all);
            let _ = writeln!(
                code,
                "if ({}..={}).contains(&version) {{ {visit} }}",
                versions.lowest, versions.highest
            );
        }
    }
    code
}

fn visits_of_field(message: &Message, field: &Field, place: &str, depth: usize) -> String {
    if field.name == "ErrorCode" && field.kind == Kind::Int16 {
        return format!("visit({place});\n");
    }
    let Some(inner) = field
        .kind
        .structure()
        .and_then(|name| message.structs.iter().find(|structure| structure.name == name))
    else {
        return String::new();
    };
    let one = format!("part_{depth}");
    let visits = visits(message, inner, &one, depth + 1);
    if visits.is_empty() {
        return String::new();
    }
    match (&field.kind, field.is_optional()) {
        (Kind::Array(_), true) => format!("for {one} in {place}.iter().flatten() {{ {visits} }}\n"),
        (Kind::Array(_), false) => format!("for {one} in &{place} {{ {visits} }}\n"),
        (_, true) => format!("if let Some({one}) = &{place} {{ {visits} }}\n"),
        (_, false) => format!("let {one} = &{place};\n{visits}"),
    }
}
