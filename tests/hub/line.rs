//! A line between clients and a server that a test can cut: a TCP proxy (faults.md C13, where network namespaces cannot be had).

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread;
use std::time::Duration;

/// How the line is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Connections stay and nothing gets through; what was sent meanwhile arrives when the line is whole, as TCP sends it again.
    Held,
    /// Connections stay and bytes vanish; the connections that lost some end when the line is whole.
    Lost,
    /// As [`Cut::Lost`], but only what clients send: what they are sent arrives. Nobody gets a new connection.
    Sent,
    /// The other way around: what clients send arrives, and what they are sent vanishes.
    Heard,
    /// Connections are reset, and so are new ones.
    Reset,
}

/// The proxy; it ends with this value.
#[derive(Debug)]
pub(crate) struct Line {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    server: Option<SocketAddr>,
    cut: Option<Cut>,
    is_over: bool,
    connections: Vec<Weak<Connection>>,
}

/// The client's end and the server's.
#[derive(Debug)]
struct Connection {
    ends: [TcpStream; 2],
    /// Bytes of it have vanished.
    is_torn: AtomicBool,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    ToServer,
    ToClient,
}

/// What becomes of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pass,
    /// It passes, although what goes the other way does not.
    PassAlone,
    Vanish,
    End,
}

impl Line {
    /// A whole line that leads nowhere yet.
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&accepting, &listener));
        Self { address, shared }
    }

    /// Where clients connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says where it leads.
    pub(crate) fn lead_to(&self, server: SocketAddr) {
        self.shared.change(|state| state.server = Some(server));
    }

    /// Cuts it. When this returns, nothing gets through any more but what was on its way.
    pub(crate) fn cut(&self, how: Cut) {
        self.shared.change(|state| state.cut = Some(how));
        if how == Cut::Reset {
            for connection in self.shared.connections() {
                connection.reset();
            }
        }
    }

    /// Makes it whole.
    pub(crate) fn mend(&self) {
        self.shared.change(|state| state.cut = None);
        for connection in self.shared.connections() {
            if connection.is_torn.load(Ordering::Acquire) {
                connection.end();
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.change(|state| state.is_over = true);
        for connection in self.shared.connections() {
            connection.end();
        }
        // The accepting thread looks once more, and ends.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn connections(&self) -> Vec<Arc<Connection>> {
        self.lock().connections.iter().filter_map(Weak::upgrade).collect()
    }

    /// Waits while the line holds everything.
    fn fate(&self, way: Way) -> Fate {
        let held = |state: &mut State| state.cut == Some(Cut::Held) && !state.is_over;
        let state = self.changed.wait_while(self.lock(), held);
        let state = state.expect("nobody panics with it");
        match state.cut {
            _ if state.is_over => Fate::End,
            None => Fate::Pass,
            Some(Cut::Sent) if way == Way::ToClient => Fate::PassAlone,
            Some(Cut::Heard) if way == Way::ToServer => Fate::PassAlone,
            Some(Cut::Lost | Cut::Sent | Cut::Heard) => Fate::Vanish,
            Some(Cut::Held | Cut::Reset) => Fate::End,
        }
    }

    /// Waits until the line is whole and tells where it leads; `None`: there will be no connection.
    fn way(&self) -> Option<SocketAddr> {
        let closed = |state: &mut State| state.cut.is_some_and(|cut| cut != Cut::Reset) && !state.is_over;
        let state = self.changed.wait_while(self.lock(), closed);
        let state = state.expect("nobody panics with it");
        let is_open = state.cut.is_none() && !state.is_over;
        state.server.filter(|_| is_open)
    }
}

impl Connection {
    fn end(&self) {
        for end in &self.ends {
            // The other side may have closed it.
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    /// Both sides see a reset once the threads that read have let go.
    fn reset(&self) {
        for end in &self.ends {
            reset_when_closed(end);
            let _ = end.shutdown(Shutdown::Read);
        }
    }
}

fn reset_when_closed(stream: &TcpStream) {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).expect("it is a socket");
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    for client in listener.incoming() {
        if shared.lock().is_over {
            return;
        }
        let Ok(client) = client else { continue };
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            if let Some(connection) = connect(&shared, client) {
                let (connection, other) = (Arc::clone(&connection), connection);
                let answers = Arc::clone(&shared);
                thread::spawn(move || pass(&answers, &other, Way::ToClient));
                pass(&shared, &connection, Way::ToServer);
            }
        });
    }
}

/// Connects a client through; without the server it sees a reset.
fn connect(shared: &Shared, client: TcpStream) -> Option<Arc<Connection>> {
    let server = shared.way().map(TcpStream::connect);
    let Some(Ok(server)) = server else {
        reset_when_closed(&client);
        return None;
    };
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("it is a socket");
    }
    let connection = Arc::new(Connection {
        ends: [client, server],
        is_torn: AtomicBool::new(false),
    });
    shared.lock().connections.push(Arc::downgrade(&connection));
    Some(connection)
}

/// Passes bytes on in one direction until the connection ends.
fn pass(shared: &Shared, connection: &Connection, way: Way) {
    let [from, to] = match way {
        Way::ToServer => [0, 1],
        Way::ToClient => [1, 0],
    };
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = (&connection.ends[from]).read(&mut buffer);
        // An end is held back like bytes are.
        let fate = shared.fate(way);
        let count = match read {
            Ok(count) if count > 0 => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            _ => 0,
        };
        match fate {
            Fate::Vanish if count > 0 => connection.is_torn.store(true, Ordering::Release),
            // It ends when the line is whole.
            Fate::Vanish => {
                connection.is_torn.store(true, Ordering::Release);
                return;
            }
            // It is reset, or everything is over.
            Fate::End => return,
            Fate::Pass | Fate::PassAlone if count == 0 => break,
            Fate::Pass if connection.is_torn.load(Ordering::Acquire) => break,
            Fate::Pass | Fate::PassAlone => {
                if (&connection.ends[to]).write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
        }
    }
    connection.end();
}
