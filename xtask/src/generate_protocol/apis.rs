//! Generates the list of APIs, and the enums over their requests and responses.

use std::fmt::Write as _;

use anyhow::Context as _;

use super::error_codes;
use super::schema::Message;
use super::versions::Versions;

struct Api<'a> {
    name: &'a str,
    key: i16,
    request: &'a Message,
    response: &'a Message,
}

/// The file of the APIs.
pub(super) fn file(messages: &[Message]) -> anyhow::Result<String> {
    let apis = pair(messages)?;
    let mut code = String::from(
        "use super::*;\nuse crate::api_key::Api;\nuse crate::{Message as _, decode, encode};\n\n",
    );
    code += &keys(&apis);
    code += &message_enum(&apis, "Request", "A request of any API.");
    code += &message_enum(&apis, "Response", "A response of any API.");
    code += &throttle_time(&apis);
    code += &error_codes::function(apis.iter().map(|api| (api.name, api.response)));
    for api in &apis {
        code += &conversions(api);
    }
    Ok(code)
}

fn pair(messages: &[Message]) -> anyhow::Result<Vec<Api<'_>>> {
    let mut apis = Vec::new();
    for request in messages.iter().filter(|message| message.kind == "request") {
        let name = request
            .name
            .strip_suffix("Request")
            .context("a request is called so")?;
        let key = request
            .api_key
            .with_context(|| format!("{name} has no api-key"))?;
        let response = messages
            .iter()
            .find(|message| message.kind == "response" && message.api_key == Some(key))
            .with_context(|| format!("{name} has no response"))?;
        apis.push(Api {
            name,
            key,
            request,
            response,
        });
    }
    apis.sort_by_key(|api| api.key);
    Ok(apis)
}

fn keys(apis: &[Api<'_>]) -> String {
    let mut code = String::from(
        "/// The APIs of the protocol, by Kafka's names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        #[non_exhaustive]
        pub enum ApiKey {\n",
    );
    for Api { name, key, .. } in apis {
        let _ = writeln!(code, "{name} = {key},");
    }
    code += "}\n\nimpl ApiKey {
        /// Every API, by rising number.
        pub const ALL: &'static [Self] = &[";
    for Api { name, .. } in apis {
        let _ = write!(code, "Self::{name}, ");
    }
    code += "];

        /// The API of a number.
        pub const fn from_i16(number: i16) -> Option<Self> {
        match number {\n";
    for Api { name, key, .. } in apis {
        let _ = writeln!(code, "{key} => Some(Self::{name}),");
    }
    code += "_ => None,\n}\n}\n\npub(crate) const fn api(self) -> &'static Api {\nmatch self {\n";
    for Api {
        name,
        request,
        response,
        ..
    } in apis
    {
        let Versions { lowest, highest } = request.valid_versions;
        let _ = writeln!(
            code,
            "Self::{name} => &Api {{ name: {name:?}, lowest: {lowest}, highest: {highest}, latest_version_unstable: {}, \
             request_flexible: {}, response_flexible: {}, on_broker: {}, on_controller: {} }},",
            request.latest_version_unstable,
            first(request.flexible_versions),
            first(response.flexible_versions),
            request.listeners.iter().any(|listener| listener == "broker"),
            request.listeners.iter().any(|listener| listener == "controller"),
        );
    }
    code += "}\n}\n}\n\n";
    code
}

fn first(versions: Versions) -> String {
    if versions.is_empty() {
        "i16::MAX".to_owned()
    } else {
        versions.lowest.to_string()
    }
}

fn message_enum(apis: &[Api<'_>], name: &str, documentation: &str) -> String {
    let mut code = format!(
        "/// {documentation}\n#[derive(Debug, Clone, PartialEq)]\n#[non_exhaustive]\npub enum {name} {{\n"
    );
    let arms = |arm: &dyn Fn(&Api<'_>) -> String| apis.iter().map(arm).collect::<String>();
    code += &arms(&|api| format!("{}({}{name}),\n", api.name, api.name));
    let _ = writeln!(
        code,
        "}}\n\nimpl {name} {{
            /// The API that it belongs to.
            pub const fn api_key(&self) -> ApiKey {{ match self {{ {} }} }}

            /// Reads the body of one, which follows the header.
            pub fn decode(api_key: ApiKey, version: i16, reader: &mut crate::Reader) -> Result<Self, decode::Error> {{
                match api_key {{ {} }}
            }}

            /// Writes its body, which follows the header.
            pub fn encode(&self, version: i16, writer: &mut crate::Writer) -> Result<(), encode::Error> {{
                match self {{ {} }}
            }}
        }}\n",
        arms(&|api| format!("Self::{0}(_) => ApiKey::{0},\n", api.name)),
        arms(&|api| format!("ApiKey::{0} => {0}{name}::decode(reader, version).map(Self::{0}),\n", api.name)),
        arms(&|api| format!("Self::{}(message) => message.encode(writer, version),\n", api.name)),
    );
    code
}

/// The field that most responses have, of which versions that lack it say nothing.
fn throttle_time(apis: &[Api<'_>]) -> String {
    let has_field = |api: &&Api<'_>| {
        api.response.structs[0]
            .fields
            .iter()
            .any(|field| field.name == "ThrottleTimeMs" && (field.versions.lowest == 0 || field.ignorable))
    };
    let arms = |arm: &dyn Fn(&str) -> String| -> String {
        apis.iter().filter(has_field).map(|api| arm(api.name)).collect()
    };
    format!(
        "impl Response {{
            /// How long its connection is not read (KIP-219), in milliseconds; 0 where the response has no place for it.
            pub const fn throttle_time_ms(&self) -> i32 {{
                match self {{ {} _ => 0 }}
            }}

            /// Tells the client how long its connection is not read; responses without a place for it stay as they are.
            pub fn set_throttle_time_ms(&mut self, milliseconds: i32) {{
                match self {{ {} _ => {{}} }}
            }}
        }}\n\n",
        arms(&|name| format!("Self::{name}(message) => message.throttle_time_ms,\n")),
        arms(&|name| format!("Self::{name}(message) => message.throttle_time_ms = milliseconds,\n")),
    )
}

fn conversions(api: &Api<'_>) -> String {
    let name = api.name;
    format!(
        "impl From<{name}Request> for Request {{
            fn from(request: {name}Request) -> Self {{ Self::{name}(request) }}
        }}

        impl From<{name}Response> for Response {{
            fn from(response: {name}Response) -> Self {{ Self::{name}(response) }}
        }}

        impl TryFrom<Response> for {name}Response {{
            type Error = Box<Response>;

            fn try_from(response: Response) -> Result<Self, Box<Response>> {{
                match response {{ Response::{name}(response) => Ok(response), other => Err(Box::new(other)) }}
            }}
        }}

        impl crate::ApiRequest for {name}Request {{
            const API_KEY: ApiKey = ApiKey::{name};
            type Response = {name}Response;
        }}

        impl crate::ApiResponse for {name}Response {{
            const API_KEY: ApiKey = ApiKey::{name};
        }}\n\n"
    )
}
