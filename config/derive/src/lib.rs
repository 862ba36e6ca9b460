//! `#[derive(Configuration)]` and `#[derive(Setting)]` of `forebay-config`: a struct whose fields are the keys of a connector, and an
//! enum whose variants are the values of one. What they do is described where they are exported.

mod attributes;
mod choice;
mod structure;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// A struct whose fields are configuration keys; see `forebay_config::Configuration`.
#[proc_macro_derive(Configuration, attributes(config))]
pub fn configuration(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    structure::expand(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// An enum whose variants are the values of a key; see `forebay_config::Setting`.
#[proc_macro_derive(Setting, attributes(config))]
pub fn setting(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    choice::expand(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
