//! Writing into a table's topic in transactions, for a writer that its successor has to fence. Readers have to read what is committed only.

use super::{KeyValue, TopicTable};
use crate::{Error, Producer, ProducerRecord};

impl TopicTable {
    /// Writes records in one transaction of `producer`, which has taken its transactional id over, and waits until it is
    /// committed: all of them are in the topic then.
    ///
    /// # Errors
    /// Whatever is in the way. The transaction has to be aborted then; where that fails, its outcome is not known, and the producer of no use
    /// any more.
    pub async fn write_in_transaction(&self, producer: &Producer, records: &[KeyValue]) -> Result<(), Error> {
        producer.begin_transaction()?;
        for (key, value) in records {
            let record = ProducerRecord::new(&self.topic, Some(key), value.as_deref());
            // How it goes on with it, the commit tells.
            drop(producer.send(record).await?);
        }
        producer.commit_transaction().await
    }
}
