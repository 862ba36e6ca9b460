//! One connection: frames in, requests to the router, responses out in the order of the requests. As in Kafka a request
//! waits until the one before it is answered, except that Produce requests follow each other without waiting: each is put in
//! its partitions' queues as it comes, so many of them share one write and one sync.

mod in_flight;

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_protocol::header::{self, RequestHeader};
use forebay_protocol::{ApiKey, Reader, Request, Response};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, sleep_until};

use super::frame::{self, Frame, FrameReader};
use super::request_memory::RequestMemory;
use super::write::ResponseWriter;
use crate::call::{Answer, CallContext, Dispatched, Reply};
use crate::clock;
use crate::handlers::api_versions;
use crate::io_pool::IoPool;
use crate::metrics::Answered;
use crate::quotas::throttle_time_ms;
use crate::router::Router;
use crate::shutdown::Shutdown;
use in_flight::{Header, Held, InFlight};

/// Requests of one connection that may be in work at once.
const IN_FLIGHT_MAX: usize = 16;
/// Bytes of requests of one connection that may be in work at once; a larger request is alone.
const IN_FLIGHT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The idle timer rests at least so long, however short `connections.max.idle.ms` is.
const IDLE_CHECK_MIN: Duration = Duration::from_millis(1);

/// Why a connection ends, other than by the peer's wish.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// What came is no frame.
    #[error(transparent)]
    Frame(#[from] frame::Error),
    /// What came is no request header.
    #[error(transparent)]
    Header(#[from] header::Error),
    /// The API exists but not here, or not at this version.
    #[error("{api_key} version {version} is not supported")]
    Unsupported {
        /// The API.
        api_key: ApiKey,
        /// The version that was asked for.
        version: i16,
    },
    /// The request does not decode.
    #[error(transparent)]
    Decode(#[from] forebay_protocol::decode::Error),
    /// Our own answer does not encode.
    #[error("response: {0}")]
    Encode(#[from] forebay_protocol::encode::Error),
    /// The socket or a file failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A handler says that there is nothing to be answered and no way to go on.
    #[error("{0}")]
    Hangup(&'static str),
    /// Nothing came for `connections.max.idle.ms`.
    #[error("nothing received for {0:?}")]
    Idle(Duration),
}

impl Error {
    /// Whether it is worth a line: a peer that goes away or stays silent is none.
    pub(crate) fn is_remarkable(&self) -> bool {
        !matches!(
            self,
            Self::Io(_) | Self::Idle(_) | Self::Frame(frame::Error::Io(_) | frame::Error::Truncated)
        )
    }
}

/// What a connection needs of the server.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) router: Router,
    /// Where responses read cold data.
    pub(crate) reads: IoPool,
    pub(crate) request_bytes_max: usize,
    pub(crate) memory: RequestMemory,
    pub(crate) idle_max: Duration,
    pub(crate) shutdown: Shutdown,
}

/// The state of one connection.
pub(crate) struct Connection<'a> {
    stream: &'a TcpStream,
    peer: SocketAddr,
    listener: Arc<str>,
    shared: &'a Shared,
    reader: FrameReader,
    in_flight: VecDeque<InFlight>,
    in_flight_bytes: usize,
    /// A request that may not begin before all before it are answered; nothing is read behind it.
    held: Option<Held>,
    /// Nothing is read before that: a quota is used up (KIP-219).
    muted_until: Option<Instant>,
    idle: Pin<Box<Sleep>>,
    /// Not to be polled again once it is done.
    shutdown: Pin<Box<dyn Future<Output = ()> + Send>>,
    last_received: Instant,
}

enum Event {
    Frame(Option<Frame>),
    Answer(Reply),
    Unmuted,
    Idle,
    Shutdown,
}

impl<'a> Connection<'a> {
    /// A connection that has just been accepted.
    pub(crate) fn new(
        stream: &'a TcpStream,
        peer: SocketAddr,
        listener: Arc<str>,
        shared: &'a Shared,
    ) -> Self {
        Self {
            stream,
            peer,
            listener,
            shared,
            reader: FrameReader::new(shared.request_bytes_max, shared.memory.clone()),
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            held: None,
            muted_until: None,
            idle: Box::pin(sleep(shared.idle_max)),
            shutdown: Box::pin(shared.shutdown.clone().requested()),
            last_received: Instant::now(),
        }
    }

    /// Serves the connection until the peer closes it or the broker shuts down; what was received before is answered.
    ///
    /// # Errors
    /// When the connection has to be closed although the peer did not ask for it.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        let mut closing = false;
        while !closing || !self.in_flight.is_empty() {
            match self.next_event(closing).await? {
                Event::Frame(Some(frame)) => self.receive(frame).await?,
                Event::Frame(None) => {
                    closing = true;
                    self.forget_waits();
                }
                Event::Shutdown => closing = true,
                Event::Answer(reply) => self.answer(reply).await?,
                Event::Unmuted => {
                    self.muted_until = None;
                    self.last_received = Instant::now();
                }
                Event::Idle => self.check_idle()?,
            }
            self.begin_held();
        }
        Ok(())
    }

    async fn next_event(&mut self, closing: bool) -> Result<Event, Error> {
        let is_throttled = self.in_flight.iter().any(|one| !one.header.throttle.is_zero());
        let may_read = !closing
            && self.held.is_none()
            // A frame that has taken of the memory for all connections does not keep it for as long as this one is not heard.
            && (self.muted_until.is_none() || self.reader.has_grant())
            && !is_throttled
            && self.in_flight.len() < IN_FLIGHT_MAX
            && self.in_flight_bytes < IN_FLIGHT_BYTES_MAX;
        // Also one that is not read for long: a peer that has gone would be kept as long as its throttle time.
        let may_idle = (may_read || (self.muted_until.is_some() && !closing)) && self.in_flight.is_empty();
        let muted = self.muted_until.map(tokio::time::Instant::from_std);
        let unmuted = async {
            match muted {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let answer = async {
            match self.in_flight.front_mut() {
                Some(oldest) => (&mut oldest.answer).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            reply = answer => Ok(Event::Answer(reply)),
            frame = self.reader.next(self.stream), if may_read => Ok(Event::Frame(frame?)),
            () = &mut self.shutdown, if !closing => Ok(Event::Shutdown),
            () = unmuted, if !closing => Ok(Event::Unmuted),
            () = &mut self.idle, if may_idle => Ok(Event::Idle),
        }
    }

    /// The peer has gone: nobody waits any more for what may take long and changes nothing.
    fn forget_waits(&mut self) {
        self.in_flight.retain(|one| {
            !matches!(
                one.header.api_key,
                ApiKey::Fetch | ApiKey::JoinGroup | ApiKey::SyncGroup
            )
        });
    }

    fn check_idle(&mut self) -> Result<(), Error> {
        let since = self.last_received.elapsed();
        if since >= self.shared.idle_max {
            return Err(Error::Idle(self.shared.idle_max));
        }
        let rest = (self.shared.idle_max - since).max(IDLE_CHECK_MIN);
        self.idle.as_mut().reset(tokio::time::Instant::now() + rest);
        Ok(())
    }

    async fn receive(&mut self, frame: Frame) -> Result<(), Error> {
        self.last_received = Instant::now();
        let Frame { bytes, grant } = frame;
        let frame_bytes = bytes.len();
        let mut reader = Reader::new(bytes);
        let RequestHeader {
            api_key,
            api_version: version,
            correlation_id,
            client_id,
        } = RequestHeader::decode(&mut reader)?;
        let mut header = Header {
            api_key,
            version,
            correlation_id,
            frame_bytes,
            received: self.last_received,
            begun: self.last_received,
            throttle: Duration::ZERO,
            payer: None,
            grant,
        };
        let router = &self.shared.router;
        router.metrics().request_received(api_key, frame_bytes);
        if api_key == ApiKey::ApiVersions && !api_key.is_supported(version) {
            // The one request that is answered at a version the client did not ask for (KIP-511).
            let header = Header { version: 0, ..header };
            let reply = Reply::Response(Response::ApiVersions(api_versions::unsupported_version()));
            self.push(header, Dispatched::Now(reply));
            return Ok(());
        }
        if !router.serves(api_key, version) {
            return Err(Error::Unsupported { api_key, version });
        }
        let request = Request::decode(api_key, version, &mut reader)?;
        let context = CallContext::of_socket(client_id, self.peer, Arc::clone(&self.listener));
        self.charge(&mut header, &context);
        let follows = |last: &InFlight| is_ordered(last.header.api_key) && is_ordered(api_key);
        if self.in_flight.back().is_none_or(follows) {
            return self.begin(header, context, request).await;
        }
        self.held = Some(Held {
            header,
            context,
            request,
        });
        Ok(())
    }

    /// Counts a request in its client's quotas as far as its arrival goes.
    fn charge(&self, header: &mut Header, context: &CallContext) {
        let quotas = self.shared.router.quotas();
        if !quotas.charges_requests() {
            return;
        }
        if header.api_key == ApiKey::Produce {
            header.throttle = quotas.produced(context, header.frame_bytes, clock::monotonic());
        }
        header.payer = Some(context.clone());
    }

    /// Starts a request. One that is answered on the spot, with nothing before it, is written without a detour.
    async fn begin(
        &mut self,
        mut header: Header,
        context: CallContext,
        request: Request,
    ) -> Result<(), Error> {
        header.begun = Instant::now();
        let dispatched = self.shared.router.dispatch(context, header.version, request);
        match dispatched {
            Dispatched::Now(reply) if self.in_flight.is_empty() => {
                let worked = header.begun.elapsed();
                self.write(&header, worked, reply).await
            }
            dispatched => {
                self.push(header, dispatched);
                Ok(())
            }
        }
    }

    fn push(&mut self, header: Header, dispatched: Dispatched) {
        self.in_flight_bytes += header.frame_bytes;
        let answer = Answer::new(dispatched, header.begun.elapsed());
        self.in_flight.push_back(InFlight { header, answer });
    }

    /// Starts the request that was held back once all before it are answered.
    fn begin_held(&mut self) {
        if !self.in_flight.is_empty() {
            return;
        }
        // As with a frame that is half read: the memory is everybody's.
        let is_muted = self.muted_until.is_some();
        let may_begin = |held: &mut Held| !is_muted || held.header.grant.is_some();
        if let Some(Held {
            mut header,
            context,
            request,
        }) = self.held.take_if(may_begin)
        {
            header.begun = Instant::now();
            let dispatched = self.shared.router.dispatch(context, header.version, request);
            self.push(header, dispatched);
        }
    }

    async fn answer(&mut self, reply: Reply) -> Result<(), Error> {
        let Some(InFlight { header, answer }) = self.in_flight.pop_front() else {
            return Ok(());
        };
        self.in_flight_bytes = self.in_flight_bytes.saturating_sub(header.frame_bytes);
        self.write(&header, answer.worked, reply).await
    }

    async fn write(&mut self, header: &Header, worked: Duration, reply: Reply) -> Result<(), Error> {
        let began = Instant::now();
        let (throttle, bytes) = match reply {
            Reply::Response(mut response) => {
                let throttle = self.throttle(header, worked, response.throttle_time_ms());
                response.set_throttle_time_ms(throttle_time_ms(throttle));
                self.shared.router.metrics().errors(&response, header.version);
                let chunks = header::encode_response_frame(header.correlation_id, header.version, &response)?;
                let mut writer = ResponseWriter::new(self.stream, &self.shared.reads, self.shared.idle_max);
                (throttle, writer.write(chunks).await?)
            }
            Reply::Silence => (self.throttle(header, worked, 0), 0),
            Reply::Hangup(reason) => return Err(Error::Hangup(reason)),
        };
        let now = Instant::now();
        if !throttle.is_zero() {
            self.muted_until = self.muted_until.max(now.checked_add(throttle));
        }
        self.shared.router.metrics().answered(&Answered {
            api_key: header.api_key,
            bytes,
            queue: header.begun - header.received,
            local: worked,
            send: now - began,
            throttle,
            total: now - header.received,
        });
        Ok(())
    }

    /// How long the connection is not to be read after this answer, by the strictest of its client's quotas.
    fn throttle(&self, header: &Header, worked: Duration, by_handler_ms: i32) -> Duration {
        let by_handler = Duration::from_millis(u64::try_from(by_handler_ms).unwrap_or(0));
        let of_request = header.payer.as_ref().map_or(Duration::ZERO, |payer| {
            let quotas = self.shared.router.quotas();
            quotas.worked(payer, worked, clock::monotonic())
        });
        header.throttle.max(by_handler).max(of_request)
    }
}

/// Whether requests of this API may follow each other before they are answered.
fn is_ordered(api_key: ApiKey) -> bool {
    matches!(api_key, ApiKey::Produce)
}
