//! Generates `fn write`: the fields in their order, then the tagged ones. A field that the version does not have is refused when
//! it is set, unless it is ignorable.

use std::fmt::Write as _;

use super::code::{Context, is_set};
use super::decode::{primitive, variable};
use super::names;
use super::schema::{Field, Kind};
use super::versions::{Versions, When};

/// The function that writes a structure.
pub(super) fn function(context: Context<'_>) -> String {
    let mut code = String::from(
        "fn write(&self, writer: &mut crate::Writer, version: i16) -> Result<(), crate::encode::Error> {\n",
    );
    if let When::If(condition) = context.message.flexible_versions.when(context.possible()) {
        let _ = writeln!(code, "let flexible = {condition};");
    }
    for field in &context.structure.fields {
        code += &in_place(context, field);
    }
    if context.has_tags() {
        code += &tagged(context);
    }
    code += "Ok(())\n}\n";
    code
}

/// The statements for a field among the others. Where it is tagged it is neither written here nor refused.
fn in_place(context: Context<'_>, field: &Field) -> String {
    let possible = context.possible();
    let present = field.in_place().intersect(possible);
    let write = if present.is_empty() {
        String::new()
    } else {
        value(context, field, present)
    };
    let absent = if field.ignorable {
        When::Never
    } else {
        field.versions.when(possible).negated()
    };
    let refuse = match absent {
        When::Never => String::new(),
        When::Always => format!(
            "if {} {{ return Err(writer.absent({})); }}\n",
            is_set(field),
            path(context, field)
        ),
        When::If(ref condition) => {
            let set = is_set(field);
            format!(
                "if {condition} && {set} {{ return Err(writer.absent({})); }}\n",
                path(context, field)
            )
        }
    };
    field.in_place().when(possible).then(&write) + &refuse
}

/// How errors name a field: with its structure, where that is not the message.
fn path(context: Context<'_>, field: &Field) -> String {
    let name = names::camel(&field.name);
    if context.structure.name == context.message.name {
        format!("{name:?}")
    } else {
        format!("\"{}.{name}\"", context.structure.name)
    }
}

/// The statements that write a field at versions that have it.
fn value(context: Context<'_>, field: &Field, present: Versions) -> String {
    let name = format!("self.{}", names::field(&field.name));
    if !field.is_optional() {
        return plain(context, field, &name, false);
    }
    let refused = format!("return Err(writer.null({}));", path(context, field));
    if let Kind::String | Kind::Bytes | Kind::Records = field.kind {
        let (path, flexible) = (path(context, field), context.flexible(field));
        let method = variable(&field.kind);
        let write = format!("writer.nullable_{method}({path}, {name}.as_ref(), {flexible})?;\n");
        return match field.nullable.when(present) {
            When::Always => write,
            When::Never => format!("if {name}.is_none() {{ {refused} }}\n{write}"),
            when => {
                let refusing = when.negated().expression();
                format!("if {name}.is_none() && {refusing} {{ {refused} }}\n{write}")
            }
        };
    }
    let some = plain(context, field, "value", true);
    match field.nullable.when(present) {
        When::Never => format!("let Some(value) = &{name} else {{ {refused} }};\n{some}"),
        when => {
            let (null, some) = nullable(context, field, &some, &when);
            let arms = match when {
                When::If(condition) => {
                    format!("None if {condition} => {{ {null} }}\nNone => {{ {refused} }}\n")
                }
                _ => format!("None => {{ {null} }}\n"),
            };
            format!("match &{name} {{ Some(value) => {{ {some} }}\n{arms} }}\n")
        }
    }
}

/// What stands for a null array or structure, and for one that is there but might be null.
fn nullable(context: Context<'_>, field: &Field, some: &str, when: &When) -> (String, String) {
    let flexible = context.flexible(field);
    match &field.kind {
        Kind::Array(_) => (format!("writer.null_array({flexible});"), some.to_owned()),
        Kind::Struct(_) => {
            let mark = if field.tag.is_some() {
                "writer.unsigned_varint(1);\n"
            } else {
                "writer.i8(1);\n"
            };
            let null = if field.tag.is_some() {
                "writer.unsigned_varint(0);"
            } else {
                "writer.i8(-1);"
            };
            (null.to_owned(), when.then(mark) + some)
        }
        _ => unreachable!("strings, bytes and records are written in one call"),
    }
}

/// The statements that write a value; `place` is a reference to it, or the value itself.
fn plain(context: Context<'_>, field: &Field, place: &str, is_reference: bool) -> String {
    let flexible = context.flexible(field);
    let name = path(context, field);
    let (reference, value) = if is_reference {
        (place.to_owned(), format!("*{place}"))
    } else {
        (format!("&{place}"), place.to_owned())
    };
    match &field.kind {
        Kind::Array(element) => {
            let each = match &**element {
                Kind::Struct(_) => "element.write(writer, version)?;".to_owned(),
                kind => match primitive(kind) {
                    Some(method) => format!("writer.{method}(*element);"),
                    None => format!("writer.{}({name}, element, {flexible})?;", variable(kind)),
                },
            };
            format!(
                "writer.array_length({name}, {place}.len(), {flexible})?;\nfor element in {reference} {{ {each} }}\n"
            )
        }
        Kind::Struct(_) => format!("{place}.write(writer, version)?;\n"),
        kind => match primitive(kind) {
            Some(method) => format!("writer.{method}({value});\n"),
            None => format!("writer.{}({name}, {reference}, {flexible})?;\n", variable(kind)),
        },
    }
}

/// The statements that write the tagged fields.
fn tagged(context: Context<'_>) -> String {
    let flexible = context.message.flexible_versions.intersect(context.possible());
    let mut fields: Vec<&Field> = context
        .structure
        .fields
        .iter()
        .filter(|field| field.tag.is_some() && !field.tagged.intersect(flexible).is_empty())
        .collect();
    fields.sort_by_key(|field| field.tag);
    let conditions: Vec<String> = fields
        .iter()
        .map(|field| match field.tagged.when(flexible) {
            When::If(condition) => format!("{condition} && ({})", is_set(field)),
            _ => is_set(field),
        })
        .collect();
    let count: Vec<String> = conditions
        .iter()
        .map(|condition| format!("u32::from({condition})"))
        .collect();
    let count = if count.is_empty() {
        "0".to_owned()
    } else {
        count.join(" + ")
    };
    let tags: Vec<String> = fields
        .iter()
        .map(|field| field.tag.unwrap_or_default().to_string())
        .collect();
    let mut code = format!(
        "writer.tagged_fields({count}, &[{}], &self.unknown_tagged_fields)?;\n",
        tags.join(", ")
    );
    let mut next = 0;
    for (field, condition) in fields.iter().zip(&conditions) {
        let tag = field.tag.unwrap_or_default();
        if tag > next {
            let _ = writeln!(
                code,
                "writer.unknown_tagged_fields(&self.unknown_tagged_fields, {next}, Some({tag}))?;"
            );
        }
        next = tag + 1;
        let value = value(context, field, field.tagged.intersect(flexible));
        let _ = writeln!(
            code,
            "if {condition} {{ writer.tagged_field({tag}, |writer| {{ {value} Ok(()) }})?; }}"
        );
    }
    let _ = writeln!(
        code,
        "writer.unknown_tagged_fields(&self.unknown_tagged_fields, {next}, None)?;"
    );
    match context.flexible_variable().as_str() {
        "true" => code,
        flexible => format!(
            "if {flexible} {{\n{code}}} else {{ writer.no_tagged_fields(&self.unknown_tagged_fields)?; }}\n"
        ),
    }
}
