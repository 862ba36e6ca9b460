//! What is written in `#[config(…)]` and in doc comments.

use syn::{
    Attribute, Expr, ExprLit, Ident, Lit, LitStr, Path, Token, bracketed, meta::ParseNestedMeta, parse_quote,
    punctuated::Punctuated,
};

/// On the struct or enum.
pub(crate) struct OfType {
    /// Where `forebay_config` is found: what connectors depend on exports it.
    pub(crate) config: Path,
    /// The heading of fields that name none.
    pub(crate) group: Option<LitStr>,
    /// Whether values are taken in any case.
    pub(crate) ignore_case: bool,
}

impl OfType {
    pub(crate) fn read(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut read = Self {
            config: parse_quote!(::forebay_connect_api::config),
            group: None,
            ignore_case: false,
        };
        each(attributes, |meta| {
            match name(&meta)?.as_str() {
                "crate" => read.config = meta.value()?.call(Path::parse_mod_style)?,
                "group" => read.group = Some(meta.value()?.parse()?),
                "ignore_case" => read.ignore_case = true,
                _ => return Err(meta.error("expected crate, group or ignore_case")),
            }
            Ok(())
        })?;
        Ok(read)
    }
}

/// On a field.
#[derive(Default)]
pub(crate) struct OfField {
    pub(crate) name: Option<LitStr>,
    pub(crate) default: Option<Expr>,
    pub(crate) importance: Option<Ident>,
    pub(crate) group: Option<LitStr>,
    pub(crate) width: Option<Ident>,
    pub(crate) display: Option<LitStr>,
    pub(crate) validator: Option<Expr>,
    pub(crate) recommender: Option<Expr>,
    pub(crate) dependents: Vec<LitStr>,
    pub(crate) aliases: Vec<LitStr>,
    pub(crate) class: bool,
    pub(crate) guards: bool,
    pub(crate) internal: bool,
    /// The field is a configuration of its own, whose keys are among this one's.
    pub(crate) flatten: bool,
}

impl OfField {
    pub(crate) fn read(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut read = Self::default();
        each(attributes, |meta| read.read_one(&meta))?;
        Ok(read)
    }

    fn read_one(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        match name(meta)?.as_str() {
            "name" => self.name = Some(meta.value()?.parse()?),
            "default" => self.default = Some(meta.value()?.parse()?),
            "importance" => self.importance = Some(meta.value()?.parse()?),
            "group" => self.group = Some(meta.value()?.parse()?),
            "width" => self.width = Some(meta.value()?.parse()?),
            "display" => self.display = Some(meta.value()?.parse()?),
            "validator" => self.validator = Some(meta.value()?.parse()?),
            "recommender" => self.recommender = Some(meta.value()?.parse()?),
            "dependents" => self.dependents = list(meta)?,
            "alias" => self.aliases.push(meta.value()?.parse()?),
            "class" => self.class = true,
            "guards" => self.guards = true,
            "internal" => self.internal = true,
            "flatten" => self.flatten = true,
            _ => {
                return Err(meta.error(
                    "expected name, default, importance, group, width, display, validator, recommender, dependents, \
                     alias, class, guards, internal or flatten",
                ));
            }
        }
        Ok(())
    }
}

/// On a variant: what the user writes for it.
pub(crate) fn of_variant(attributes: &[Attribute]) -> syn::Result<Option<LitStr>> {
    let mut given = None;
    each(attributes, |meta| {
        match name(&meta)?.as_str() {
            "name" => given = Some(meta.value()?.parse()?),
            _ => return Err(meta.error("expected name")),
        }
        Ok(())
    })?;
    Ok(given)
}

/// The doc comment as running text: a key's documentation has no lines.
pub(crate) fn documentation(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| {
        let meta = attribute.meta.require_name_value().ok()?;
        match &meta.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text), ..
            }) if meta.path.is_ident("doc") => Some(text.value().trim().to_owned()),
            _ => None,
        }
    });
    let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}

fn each(
    attributes: &[Attribute],
    mut read: impl FnMut(ParseNestedMeta<'_>) -> syn::Result<()>,
) -> syn::Result<()> {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("config"))
        .try_for_each(|attribute| attribute.parse_nested_meta(&mut read))
}

fn name(meta: &ParseNestedMeta<'_>) -> syn::Result<String> {
    Ok(meta.path.require_ident()?.to_string())
}

/// `["a", "b"]`.
fn list(meta: &ParseNestedMeta<'_>) -> syn::Result<Vec<LitStr>> {
    let content;
    let value = meta.value()?;
    bracketed!(content in value);
    let items = Punctuated::<LitStr, Token![,]>::parse_terminated(&content)?;
    Ok(items.into_iter().collect())
}
