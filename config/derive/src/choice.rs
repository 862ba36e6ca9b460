//! `#[derive(Setting)]`: each variant is a value that the user may write.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Fields, spanned::Spanned};

use crate::attributes::{self, OfType};

pub(crate) fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let OfType {
        config, ignore_case, ..
    } = OfType::read(&input.attrs)?;
    let Data::Enum(data) = &input.data else {
        return Err(syn::Error::new(input.span(), "a setting of one's own is an enum"));
    };
    let mut names = Vec::new();
    let mut variants = Vec::new();
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(syn::Error::new(variant.span(), "a value has no fields"));
        }
        let given = attributes::of_variant(&variant.attrs)?;
        names.push(given.map_or_else(|| snake_case(&variant.ident.to_string()), |name| name.value()));
        variants.push(&variant.ident);
    }
    let (validator, equal) = if ignore_case {
        (quote!(one_of_ignoring_case), quote!(eq_ignore_ascii_case))
    } else {
        (quote!(one_of), quote!(eq))
    };
    let (ident, (generics, of_type, bounds)) = (&input.ident, input.generics.split_for_impl());
    Ok(quote! {
        #[automatically_derived]
        impl #generics #config::Setting for #ident #of_type #bounds {
            const CONFIG_TYPE: #config::ConfigType = #config::ConfigType::String;

            fn validator() -> ::core::option::Option<#config::Validator> {
                ::core::option::Option::Some(#config::Validator::#validator([#(#names),*]))
            }

            fn from_value(value: ::core::option::Option<&#config::Value>) -> ::core::option::Option<Self> {
                let ::core::option::Option::Some(#config::Value::String(text)) = value else {
                    return ::core::option::Option::None;
                };
                #(if str::#equal(text, #names) {
                    return ::core::option::Option::Some(Self::#variants);
                })*
                ::core::option::Option::None
            }
        }
    })
}

/// `RecordKey` is `record_key`, as Kafka's connectors write their values.
fn snake_case(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}
