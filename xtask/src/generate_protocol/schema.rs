//! The tables: one message each. A head of `kind Name` and its properties, a blank line, then one field per line as `Name type
//! versions [nullable V] [tag N tagged V] [default X] [flexible V] [ignorable]`, the fields of a structure indented below the
//! field that has it. Structures with several uses stand at the end, each after a blank line, as `struct Name versions`.

use anyhow::{Context as _, bail, ensure};

use super::versions::Versions;

/// A table.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// `request`, `response`, `header`, `metadata`, `coordinator-key`, `coordinator-value` or `data`.
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) api_key: Option<i16>,
    pub(super) listeners: Vec<String>,
    pub(super) valid_versions: Versions,
    pub(super) flexible_versions: Versions,
    pub(super) latest_version_unstable: bool,
    /// The message itself first, then the structures in it.
    pub(super) structs: Vec<Struct>,
}

/// A structure: a message, or a part of one.
#[derive(Debug, Clone)]
pub(super) struct Struct {
    pub(super) name: String,
    pub(super) versions: Versions,
    pub(super) fields: Vec<Field>,
}

/// A field of a structure.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) versions: Versions,
    pub(super) nullable: Versions,
    pub(super) tag: Option<u32>,
    pub(super) tagged: Versions,
    pub(super) default: Option<String>,
    /// Where the field departs from its message in this.
    pub(super) flexible: Option<Versions>,
    pub(super) ignorable: bool,
}

/// The type of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Int64,
    Float64,
    Uuid,
    String,
    Bytes,
    Records,
    Struct(String),
    Array(Box<Kind>),
}

impl Kind {
    fn parse(text: &str) -> Self {
        if let Some(element) = text.strip_prefix("[]") {
            return Self::Array(Box::new(Self::parse(element)));
        }
        match text {
            "bool" => Self::Bool,
            "int8" => Self::Int8,
            "int16" => Self::Int16,
            "uint16" => Self::Uint16,
            "int32" => Self::Int32,
            "uint32" => Self::Uint32,
            "int64" => Self::Int64,
            "float64" => Self::Float64,
            "uuid" => Self::Uuid,
            "string" => Self::String,
            "bytes" => Self::Bytes,
            "records" => Self::Records,
            name => Self::Struct(name.to_owned()),
        }
    }

    /// The structure in it.
    pub(super) fn structure(&self) -> Option<&str> {
        match self {
            Self::Struct(name) => Some(name),
            Self::Array(element) => element.structure(),
            _ => None,
        }
    }
}

impl Field {
    /// The versions in which it stands in its place among the others.
    pub(super) fn in_place(&self) -> Versions {
        self.versions.without_tail(self.tagged)
    }

    /// Whether it may be null at some version.
    pub(super) fn is_optional(&self) -> bool {
        !self.nullable.is_empty()
    }

    /// Whether it is null unless set.
    pub(super) fn is_null_by_default(&self) -> bool {
        // Kafka has null for records even where its schema does not say so.
        self.is_optional() && (self.default.as_deref() == Some("null") || self.kind == Kind::Records)
    }
}

/// Reads one table.
pub(super) fn parse(text: &str) -> anyhow::Result<Message> {
    let mut blocks = text.split("\n\n");
    let mut message = parse_head(blocks.next().unwrap_or_default())?;
    let body = blocks.next().unwrap_or_default();
    let mut lines = body
        .lines()
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .into_iter()
        .peekable();
    let mut structs = Vec::new();
    let fields = parse_fields(&mut lines, 0, &mut structs)?;
    ensure!(lines.next().is_none(), "a line is indented too far");
    let versions = message.valid_versions;
    message.structs.push(Struct {
        name: message.name.clone(),
        versions,
        fields,
    });
    message.structs.append(&mut structs);
    for block in blocks {
        let mut lines = block.lines().collect::<Vec<_>>().into_iter().peekable();
        let head: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        let ["struct", name, versions] = head[..] else {
            bail!("{head:?} is not `struct Name versions`")
        };
        let fields = parse_fields(&mut lines, 1, &mut structs)?;
        message.structs.push(Struct {
            name: name.to_owned(),
            versions: Versions::parse(versions)?,
            fields,
        });
        message.structs.append(&mut structs);
    }
    check(&message)?;
    Ok(message)
}

fn parse_head(head: &str) -> anyhow::Result<Message> {
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    let (kind, name) = first
        .split_once(' ')
        .with_context(|| format!("{first:?} is not `kind Name`"))?;
    let mut message = Message {
        kind: kind.to_owned(),
        name: name.to_owned(),
        api_key: None,
        listeners: Vec::new(),
        valid_versions: Versions::NONE,
        flexible_versions: Versions::NONE,
        latest_version_unstable: false,
        structs: Vec::new(),
    };
    for line in lines {
        let (property, value) = line.split_once(' ').unwrap_or((line, ""));
        match property {
            "api-key" => message.api_key = Some(value.parse()?),
            "listeners" => message.listeners = value.split(' ').map(str::to_owned).collect(),
            "valid-versions" => message.valid_versions = Versions::parse(value)?,
            "flexible-versions" => message.flexible_versions = Versions::parse(value)?,
            "latest-version-unstable" => message.latest_version_unstable = true,
            _ => bail!("unknown property {property:?}"),
        }
    }
    ensure!(!message.valid_versions.is_empty(), "no valid-versions");
    Ok(message)
}

/// The fields at one depth; structures below them go to `structs`, in the order in which they appear.
fn parse_fields<'a, L: Iterator<Item = &'a str>>(
    lines: &mut std::iter::Peekable<L>,
    depth: usize,
    structs: &mut Vec<Struct>,
) -> anyhow::Result<Vec<Field>> {
    let mut fields = Vec::new();
    while let Some(line) = lines.next_if(|line| indentation(line) == depth) {
        let field = parse_field(line.trim_start()).with_context(|| line.to_owned())?;
        if lines.peek().is_some_and(|next| indentation(next) == depth + 1) {
            let name = field
                .kind
                .structure()
                .with_context(|| format!("{line:?} has no fields"))?
                .to_owned();
            let mut below = Vec::new();
            let inner = parse_fields(lines, depth + 1, &mut below)?;
            structs.push(Struct {
                name,
                versions: field.versions,
                fields: inner,
            });
            structs.append(&mut below);
        }
        fields.push(field);
    }
    Ok(fields)
}

fn indentation(line: &str) -> usize {
    (line.len() - line.trim_start().len()) / 2
}

fn parse_field(line: &str) -> anyhow::Result<Field> {
    let mut words = line.split(' ');
    let mut next = || words.next().context("a word is missing");
    let mut field = Field {
        name: next()?.to_owned(),
        kind: Kind::parse(next()?),
        versions: Versions::parse(next()?)?,
        nullable: Versions::NONE,
        tag: None,
        tagged: Versions::NONE,
        default: None,
        flexible: None,
        ignorable: false,
    };
    while let Some(word) = words.next() {
        if word == "ignorable" {
            field.ignorable = true;
            continue;
        }
        let value = words.next().with_context(|| format!("{word} has no value"))?;
        match word {
            "nullable" => field.nullable = Versions::parse(value)?,
            "tag" => field.tag = Some(value.parse()?),
            "tagged" => field.tagged = Versions::parse(value)?,
            "default" => field.default = Some(value.to_owned()),
            "flexible" => field.flexible = Some(Versions::parse(value)?),
            _ => bail!("unknown word {word:?}"),
        }
    }
    ensure!(
        field.tag.is_some() != field.tagged.is_empty(),
        "tag and tagged go together"
    );
    Ok(field)
}

/// What the generator relies on.
fn check(message: &Message) -> anyhow::Result<()> {
    for structure in &message.structs {
        for field in &structure.fields {
            if let Some(name) = field.kind.structure() {
                ensure!(
                    message.structs.iter().any(|known| known.name == *name),
                    "no structure {name}"
                );
            }
            let scalar = matches!(
                &field.kind,
                Kind::String | Kind::Bytes | Kind::Records | Kind::Struct(_) | Kind::Array(_)
            );
            ensure!(scalar || !field.is_optional(), "{} cannot be null", field.name);
        }
    }
    Ok(())
}
