//! `#[derive(Configuration)]`: each field is a key.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Data, DeriveInput, Field, Fields, Ident, LitStr, Path, spanned::Spanned};

use crate::attributes::{self, OfField, OfType};

pub(crate) fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let of_type = OfType::read(&input.attrs)?;
    let fields = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => &fields.named,
            _ => {
                return Err(syn::Error::new(
                    input.span(),
                    "the fields of a configuration have names",
                ));
            }
        },
        _ => return Err(syn::Error::new(input.span(), "a configuration is a struct")),
    };
    let mut definitions = Vec::new();
    let mut readers = Vec::new();
    for field in fields {
        let (definition, reader) = expand_field(field, &of_type)?;
        definitions.push(definition);
        readers.push(reader);
    }
    let config = &of_type.config;
    let (ident, (generics, type_generics, bounds)) = (&input.ident, input.generics.split_for_impl());
    Ok(quote! {
        #[automatically_derived]
        impl #generics #config::Configuration for #ident #type_generics #bounds {
            fn definition() -> #config::ConfigDef {
                let definition = #config::ConfigDef::new();
                #(let definition = #definitions;)*
                definition
            }

            fn from_config(config: &#config::Config) -> Self {
                Self { #(#readers),* }
            }
        }
    })
}

/// What the field adds to the definition, and how it is read.
fn expand_field(field: &Field, of_type: &OfType) -> syn::Result<(TokenStream, TokenStream)> {
    let of_field = OfField::read(&field.attrs)?;
    let config = &of_type.config;
    let (ident, kind) = (field.ident.as_ref(), &field.ty);
    if of_field.flatten {
        return Ok((
            quote!(definition.extend(&<#kind as #config::Configuration>::definition())),
            quote!(#ident: <#kind as #config::Configuration>::from_config(config)),
        ));
    }
    let name = of_field.name.clone().unwrap_or_else(|| name_of(field));
    let documentation = attributes::documentation(&field.attrs);
    if documentation.is_empty() {
        return Err(syn::Error::new(
            field.span(),
            "a key needs a doc comment: it is its documentation",
        ));
    }
    let key = key(
        config,
        &of_field,
        of_type,
        &quote!(#config::key_of::<#kind>(#name, #documentation)),
    );
    Ok((
        quote!(definition.define_in_turn(#key)),
        quote!(#ident: #config::setting_of::<#kind>(config, #name)),
    ))
}

/// `batch_size` is `batch.size`.
fn name_of(field: &Field) -> LitStr {
    let ident = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
    LitStr::new(&ident.trim_start_matches("r#").replace('_', "."), field.span())
}

/// The calls that make a key what its attributes say.
fn key(config: &Path, of_field: &OfField, of_type: &OfType, new: &TokenStream) -> TokenStream {
    let mut key = new.clone();
    let mut call = |method: &str, argument: TokenStream| {
        let method = Ident::new(method, proc_macro2::Span::call_site());
        key = quote!(#key.#method(#argument));
    };
    if of_field.class {
        call("config_type", quote!(#config::ConfigType::Class));
    }
    if let Some(default) = &of_field.default {
        call("default", default.to_token_stream());
    }
    if let Some(importance) = &of_field.importance {
        call("importance", quote!(#config::Importance::#importance));
    }
    if let Some(group) = of_field.group.as_ref().or(of_type.group.as_ref()) {
        // Its place there is its turn.
        call("group", quote!(#group, -1));
    }
    if let Some(width) = &of_field.width {
        call("width", quote!(#config::Width::#width));
    }
    if let Some(display) = &of_field.display {
        call("display_name", display.to_token_stream());
    }
    if let Some(validator) = &of_field.validator {
        call("validator_also", quote!({ use #config::Validator; #validator }));
    }
    if let Some(recommender) = &of_field.recommender {
        call("recommender", quote!(::std::sync::Arc::new(#recommender)));
    }
    if !of_field.dependents.is_empty() {
        let dependents = &of_field.dependents;
        call("dependents", quote!([#(#dependents),*]));
    }
    for alias in &of_field.aliases {
        call("alias", alias.to_token_stream());
    }
    if of_field.guards {
        call("guards", TokenStream::new());
    }
    if of_field.internal {
        call("internal", TokenStream::new());
    }
    key
}
