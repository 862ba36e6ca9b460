//! How large one answer may become. Kafka answers all that a request names, however often and however large that is, so that a small request
//! can ask for gigabytes. Here an answer has a bound: what it has no room for is refused, with a code by which clients ask for that alone
//! again where Kafka has one; and beyond very many of these nothing is said.

use forebay_protocol::{ErrorCode, Message, Utf8Bytes, Writer};

/// What an answer may hold, in bytes as it is sent and with what its entries cost besides.
pub(super) const ANSWER_BYTES_MAX: usize = 32 << 20;
/// What an entry costs in memory besides what it says.
pub(super) const ENTRY_BYTES: usize = 256;
/// How many entries are told that there is no room for them.
const TOLD_MAX: usize = 100_000;
/// How many names are asked about at once: how large what they stand for is turns out afterwards.
const AT_A_TIME_MAX: usize = 32;

/// What groups and transactions say for which there is no room: clients ask for those again, as of a coordinator that has a moment to go.
pub(super) const ASK_AGAIN: ErrorCode = ErrorCode::CoordinatorLoadInProgress;
/// What is said where clients do not ask again by themselves.
pub(super) const NO_ROOM: ErrorCode = ErrorCode::InvalidRequest;
/// The same in words.
pub(super) const NO_ROOM_MESSAGE: &str = "The answer has no room for this: ask for less at once.";

/// The room that is left in an answer.
#[derive(Debug)]
pub(super) struct Room {
    bytes_left: usize,
    told_left: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            bytes_left: ANSWER_BYTES_MAX,
            told_left: TOLD_MAX,
        }
    }
}

impl Room {
    /// Whether there is any. The first entry always fits, however large it is: asked for alone, everything is answered.
    pub(super) fn is_left(&self) -> bool {
        self.bytes_left > 0
    }

    /// Whether there is as much.
    pub(super) fn has(&self, bytes: usize) -> bool {
        self.bytes_left >= bytes
    }

    /// So many entries are in, which say so much together.
    pub(super) fn take(&mut self, entries: usize, bytes: usize) {
        let taken = entries.saturating_mul(ENTRY_BYTES).saturating_add(bytes);
        self.bytes_left = self.bytes_left.saturating_sub(taken);
    }

    /// Whether one for which there is no room is told so.
    pub(super) fn tell(&mut self) -> bool {
        let tells = self.told_left > 0;
        self.told_left = self.told_left.saturating_sub(1);
        tells
    }
}

/// How long a message is when it is sent.
pub(super) fn bytes_of(message: &impl Message, version: i16) -> usize {
    let mut writer = Writer::new();
    // One that cannot be written is refused when it is sent.
    let _either_way = message.encode(&mut writer, version);
    writer.len()
}

/// What an answer says of one name.
pub(super) trait Entry: Sized {
    /// The answer.
    type Answer: Message;
    /// Whom it is about.
    fn name(&self) -> &Utf8Bytes;
    /// There is no room for what it would say.
    fn refused(name: &Utf8Bytes) -> Self;
    /// The answer of these.
    fn answer(entries: Vec<Self>) -> Self::Answer;
    /// The entries of an answer.
    fn entries(answer: Self::Answer) -> Vec<Self>;
}

/// What there is to say of names, in their order, as far as there is room. `ask` gives it for some of them, in any order.
pub(super) async fn answer_each<E, F>(
    names: Vec<Utf8Bytes>,
    version: i16,
    ask: impl Fn(Vec<Utf8Bytes>) -> F,
) -> Vec<E>
where
    E: Entry,
    F: Future<Output = Vec<E>>,
{
    let mut room = Room::default();
    let mut all = Vec::new();
    let mut rest = &names[..];
    let mut largest = 1;
    while !rest.is_empty() && room.is_left() {
        let count = (room.bytes_left / largest).clamp(1, AT_A_TIME_MAX);
        let (some, after) = rest.split_at(count.min(rest.len()));
        rest = after;
        let mut entries = ask(some.to_vec()).await;
        entries.sort_by_cached_key(|entry| some.iter().position(|name| name == entry.name()));
        let count = entries.len();
        let answer = E::answer(entries);
        let bytes = bytes_of(&answer, version);
        room.take(count, bytes);
        largest = largest.max(bytes / count.max(1));
        all.append(&mut E::entries(answer));
    }
    let refused = rest.iter().take_while(|_| room.tell());
    all.extend(refused.map(E::refused));
    all
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::ready;

    use bytes::Bytes;
    use forebay_protocol::messages::DescribeGroupsResponse;
    use forebay_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};

    use super::*;

    /// How many are asked for at once, and how many are answered and refused, where so much is to be said of each.
    async fn ask(names: Vec<Utf8Bytes>, bytes: usize) -> (Vec<usize>, usize, usize) {
        let asked = RefCell::new(Vec::new());
        let member = DescribedGroupMember {
            member_metadata: Bytes::from(vec![0; bytes]),
            ..DescribedGroupMember::default()
        };
        let of = |group_id| DescribedGroup {
            group_id,
            members: vec![member.clone(); usize::from(bytes > 0)],
            ..DescribedGroup::default()
        };
        let groups: Vec<DescribedGroup> = answer_each(names.clone(), 6, |names: Vec<Utf8Bytes>| {
            asked.borrow_mut().push(names.len());
            ready(names.into_iter().rev().map(of).collect())
        })
        .await;
        assert!(
            groups
                .iter()
                .map(|one| &one.group_id)
                .eq(names.iter().take(groups.len()))
        );
        let answered = groups.iter().filter(|one| one.error_code == 0).count();
        let told = groups.len() - answered;
        let refused = &groups[answered..];
        assert!(refused.iter().all(|one| one.error_code == ASK_AGAIN.to_i16()));
        let response = DescribeGroupsResponse {
            groups,
            ..DescribeGroupsResponse::default()
        };
        let size = bytes_of(&response, 6).saturating_sub(told * 100);
        assert!(size <= ANSWER_BYTES_MAX + bytes, "{size}");
        (asked.into_inner(), answered, told)
    }

    fn names(count: usize) -> Vec<Utf8Bytes> {
        (0..count).map(|name| name.to_string().into()).collect()
    }

    #[tokio::test]
    async fn all_is_answered_for_which_there_is_room_and_the_rest_is_told() {
        assert_eq!(ask(names(0), 0).await, (vec![], 0, 0));
        assert_eq!(ask(names(3), 0).await, (vec![3], 3, 0));
        assert_eq!(
            ask(vec!["same".into(); 1_000], 10).await.1,
            1_000,
            "as Kafka does"
        );
        assert_eq!(
            ask(names(1), ANSWER_BYTES_MAX + 1).await.1,
            1,
            "what stands alone"
        );
    }

    #[tokio::test]
    async fn once_it_is_known_how_large_they_are_less_is_asked_for_at_once() {
        const LARGE: usize = 300_000;
        let (asked, answered, told) = ask(names(1_000), LARGE).await;
        assert_eq!(answered + told, 1_000);
        assert_eq!(answered, ANSWER_BYTES_MAX / LARGE + 1);
        assert_eq!(asked[..3], [AT_A_TIME_MAX; 3]);
        assert!(asked[3..].iter().all(|count| *count < AT_A_TIME_MAX), "{asked:?}");
    }

    #[tokio::test]
    async fn what_costs_nothing_to_ask_for_costs_no_more_than_the_bound() {
        let many = ANSWER_BYTES_MAX / ENTRY_BYTES + AT_A_TIME_MAX;
        let (_, answered, told) = ask(vec!["g".into(); 3 * many], 0).await;
        assert!(answered <= many, "{answered}");
        assert_eq!(told, TOLD_MAX);
    }
}
