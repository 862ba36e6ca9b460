//! The headers of requests and responses, at the version that goes with the message, and whole frames of both.

use crate::messages::{self, ApiVersionsResponse};
use crate::{
    ApiKey, Chunk, ErrorCode, Message as _, Reader, Request, Response, Utf8Bytes, Writer, decode, encode,
};

/// A frame whose header says nothing that could be answered: the connection is closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An API that is not Kafka's, or that is none any more.
    #[error("no API has the number {number}")]
    UnknownApiKey {
        /// The number in the header.
        number: i16,
    },
    /// Not a header.
    #[error(transparent)]
    Decode(#[from] decode::Error),
}

/// The header of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    /// The API that is called.
    pub api_key: ApiKey,
    /// The version of the request and of its response; not always one that is supported.
    pub api_version: i16,
    /// Comes back in the response.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<Utf8Bytes>,
}

impl RequestHeader {
    /// Reads the header at the start of a frame, behind its length. The version of the header follows from the API and version
    /// that it names, also where that version is not supported: an ApiVersions request is answered all the same, with
    /// UNSUPPORTED_VERSION at version 0 (KIP-511). All others of an unsupported version cannot be.
    pub fn decode(reader: &mut Reader) -> Result<Self, Error> {
        let mut ahead = reader.clone();
        let (number, api_version) = (ahead.i16()?, ahead.i16()?);
        let api_key = ApiKey::from_i16(number).ok_or(Error::UnknownApiKey { number })?;
        let header = messages::RequestHeader::decode(reader, api_key.request_header_version(api_version))?;
        Ok(Self {
            api_key,
            api_version,
            correlation_id: header.correlation_id,
            client_id: header.client_id,
        })
    }

    /// Writes the header.
    pub fn encode(&self, writer: &mut Writer) -> Result<(), encode::Error> {
        let header = messages::RequestHeader {
            request_api_key: self.api_key.number(),
            request_api_version: self.api_version,
            correlation_id: self.correlation_id,
            client_id: self.client_id.clone(),
            ..Default::default()
        };
        header.encode(writer, self.api_key.request_header_version(self.api_version))
    }

    /// Whether the request behind the header can be read.
    pub fn is_supported(&self) -> bool {
        self.api_key.is_supported(self.api_version)
    }
}

/// Reads the header of a response to a request of this API and version; gives the correlation id. From here on the reader lets
/// the response take the memory that responses may.
pub fn decode_response_header(
    api_key: ApiKey,
    api_version: i16,
    reader: &mut Reader,
) -> Result<i32, decode::Error> {
    reader.expect_response();
    let version = api_key.response_header_version(api_version);
    Ok(messages::ResponseHeader::decode(reader, version)?.correlation_id)
}

/// A frame that holds a request.
pub fn encode_request_frame(header: &RequestHeader, request: &Request) -> Result<Vec<Chunk>, encode::Error> {
    debug_assert_eq!(header.api_key, request.api_key());
    let mut writer = Writer::framed();
    header.encode(&mut writer)?;
    request.encode(header.api_version, &mut writer)?;
    writer.finish()
}

/// A frame that holds a response to a request of version `api_version`.
pub fn encode_response_frame(
    correlation_id: i32,
    api_version: i16,
    response: &Response,
) -> Result<Vec<Chunk>, encode::Error> {
    let mut writer = Writer::framed();
    let header = messages::ResponseHeader {
        correlation_id,
        ..Default::default()
    };
    header.encode(
        &mut writer,
        response.api_key().response_header_version(api_version),
    )?;
    response.encode(api_version, &mut writer)?;
    writer.finish()
}

/// Reads the body of a response. A broker that does not know the version of an ApiVersions request answers at version 0, with
/// UNSUPPORTED_VERSION and the range that it has.
pub fn decode_response(
    api_key: ApiKey,
    api_version: i16,
    reader: &mut Reader,
) -> Result<Response, decode::Error> {
    if api_key == ApiKey::ApiVersions && api_version > 0 {
        let code = reader.clone().i16()?;
        if ErrorCode::from_i16(code) == ErrorCode::UnsupportedVersion {
            let fallback = ApiVersionsResponse::decode(&mut reader.clone(), 0);
            if let Ok(response) = fallback {
                let _ = ApiVersionsResponse::decode(reader, 0);
                return Ok(response.into());
            }
        }
    }
    Response::decode(api_key, api_version, reader)
}

#[cfg(test)]
mod tests;
