use bytes::{Bytes, BytesMut};

use super::*;
use crate::messages::api_versions_response::ApiVersion;
use crate::messages::list_groups_response::ListedGroup;
use crate::messages::{ApiVersionsRequest, HeartbeatRequest, HeartbeatResponse, ListGroupsResponse};

fn header(api_key: ApiKey, api_version: i16) -> RequestHeader {
    RequestHeader {
        api_key,
        api_version,
        correlation_id: 77,
        client_id: Some("client".into()),
    }
}

/// A frame in one piece, without its length.
fn body(chunks: Vec<Chunk>) -> Bytes {
    let mut bytes = BytesMut::new();
    for chunk in chunks {
        let Chunk::Bytes(piece) = chunk else {
            panic!("no file is involved")
        };
        bytes.extend_from_slice(&piece);
    }
    bytes.split_off(4).freeze()
}

#[test]
fn request_headers_are_what_kafka_writes() {
    // From Kafka 4.3.1; version 99 does not exist there either.
    let cases: [(i16, &[u8]); 4] = [
        (0, b"\0\x12\0\0\0\0\0\x4d\0\x06client"),
        (2, b"\0\x12\0\x02\0\0\0\x4d\0\x06client"),
        (3, b"\0\x12\0\x03\0\0\0\x4d\0\x06client\0"),
        (99, b"\0\x12\0\x63\0\0\0\x4d\0\x06client\0"),
    ];
    for (version, bytes) in cases {
        let header = header(ApiKey::ApiVersions, version);
        let mut writer = Writer::new();
        header.encode(&mut writer).expect("written");
        assert_eq!(writer.finish_bytes(), Ok(Bytes::from_static(bytes)));
        let mut reader = Reader::new(Bytes::from_static(bytes));
        assert_eq!(RequestHeader::decode(&mut reader), Ok(header.clone()));
        assert_eq!((reader.remaining(), header.is_supported()), (0, version <= 4));
    }
}

#[test]
fn headers_that_cannot_be_answered() {
    let mut reader = Reader::new(Bytes::from_static(b"\x03\xe7\0\0\0\0\0\0\xff\xff"));
    assert_eq!(
        RequestHeader::decode(&mut reader),
        Err(Error::UnknownApiKey { number: 999 })
    );
    let mut reader = Reader::new(Bytes::from_static(b"\0\x12\0"));
    assert!(matches!(
        RequestHeader::decode(&mut reader),
        Err(Error::Decode(_))
    ));
    // A client without a name is one all the same.
    let mut reader = Reader::new(Bytes::from_static(b"\0\x0c\0\0\0\0\0\x01\xff\xff"));
    assert_eq!(
        RequestHeader::decode(&mut reader).map(|header| header.client_id),
        Ok(None)
    );
}

#[test]
fn frames_go_both_ways() {
    for version in *ApiKey::Heartbeat.versions().start()..=*ApiKey::Heartbeat.versions().end() {
        let request: Request = HeartbeatRequest {
            group_id: "g".into(),
            member_id: "m".into(),
            ..Default::default()
        }
        .into();
        let header = header(ApiKey::Heartbeat, version);
        let mut reader = Reader::new(body(encode_request_frame(&header, &request).expect("written")));
        assert_eq!(RequestHeader::decode(&mut reader), Ok(header));
        assert_eq!(
            Request::decode(ApiKey::Heartbeat, version, &mut reader),
            Ok(request)
        );
        assert_eq!(reader.finish(), Ok(()));

        let response: Response = HeartbeatResponse {
            error_code: 27,
            ..Default::default()
        }
        .into();
        let mut reader = Reader::new(body(
            encode_response_frame(5, version, &response).expect("written"),
        ));
        assert_eq!(
            decode_response_header(ApiKey::Heartbeat, version, &mut reader),
            Ok(5)
        );
        let read = decode_response(ApiKey::Heartbeat, version, &mut reader).expect("read");
        assert_eq!(reader.finish(), Ok(()));
        assert_eq!(read, response);
        assert_eq!(
            HeartbeatResponse::try_from(read).map(|response| response.error_code),
            Ok(27)
        );
        assert!(ApiVersionsResponse::try_from(response).is_err());
    }
}

#[test]
fn an_older_broker_answers_at_version_zero() {
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.to_i16(),
        api_keys: vec![ApiVersion {
            api_key: 18,
            min_version: 0,
            max_version: 3,
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut reader = Reader::new(response.to_bytes(0).expect("written"));
    assert_eq!(
        decode_response(ApiKey::ApiVersions, 4, &mut reader),
        Ok(response.into())
    );
    assert_eq!(reader.finish(), Ok(()));
    // One that says so at the version that was asked for is read at that.
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.to_i16(),
        throttle_time_ms: 3,
        ..Default::default()
    };
    let mut reader = Reader::new(response.to_bytes(4).expect("written"));
    assert_eq!(
        decode_response(ApiKey::ApiVersions, 4, &mut reader),
        Ok(response.into())
    );
    assert_eq!(reader.finish(), Ok(()));
    let request: Request = ApiVersionsRequest::default().into();
    assert_eq!(request.api_key(), ApiKey::ApiVersions);
}

#[test]
fn responses_may_list_thousands_of_groups_that_have_but_a_name() {
    let group = |number| ListedGroup {
        group_id: format!("{number}").into(),
        ..Default::default()
    };
    let response: Response = ListGroupsResponse {
        groups: (1000..9000).map(group).collect(),
        ..Default::default()
    }
    .into();
    let mut reader = Reader::new(body(encode_response_frame(5, 3, &response).expect("written")));
    // Read as a request would be, it takes more than it may.
    let mut strict = reader.clone();
    let header = messages::ResponseHeader::decode(&mut strict, 1);
    assert_eq!(header.map(|header| header.correlation_id), Ok(5));
    assert!(Response::decode(ApiKey::ListGroups, 3, &mut strict).is_err());
    assert_eq!(decode_response_header(ApiKey::ListGroups, 3, &mut reader), Ok(5));
    assert_eq!(decode_response(ApiKey::ListGroups, 3, &mut reader), Ok(response));
}
