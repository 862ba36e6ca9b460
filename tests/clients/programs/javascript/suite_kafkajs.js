// The suite of KafkaJS: BOOTSTRAP PREFIX [TEST]...
const { CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = require("kafkajs");

const [bootstrap, prefix, ...wanted] = process.argv.slice(2);
const patience = 25_000;
const kafka = new Kafka({ clientId: "kafkajs", brokers: [bootstrap], logLevel: logLevel.NOTHING });
const admin = kafka.admin();

function equal(found, expected, what) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: ${a?.slice(0, 200)} instead of ${b?.slice(0, 200)}`);
}

async function until(what, condition) {
  for (const giveUp = Date.now() + patience; Date.now() < giveUp; await new Promise((it) => setTimeout(it, 50))) {
    const found = await condition();
    if (found) return found;
  }
  throw new Error(`waited in vain for ${what}`);
}

async function topic(name, numPartitions = 1, configEntries = []) {
  const it = `${prefix}-${name}`;
  await admin.createTopics({ topics: [{ topic: it, numPartitions, configEntries }], waitForLeaders: true });
  return it;
}

async function fails(what, promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`${what} did not fail`);
}

// The records of a topic of one partition, up to its end.
async function read(topic, readUncommitted = false) {
  const consumer = kafka.consumer({ groupId: `${topic}-reader-${Math.random()}`, readUncommitted });
  const end = Number((await admin.fetchTopicOffsets(topic))[0].high), found = [];
  let position = 0;
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  consumer.run({ autoCommit: false, eachBatchAutoResolve: true, eachBatch: async ({ batch }) => {
    found.push(...batch.messages);
    position = Number(batch.lastOffset()) + 1;
  } });
  consumer.on(consumer.events.FETCH, () => {});
  // Markers at the end are not handed out: the end is reached when nothing comes any more.
  let before = -1;
  await until("the end", async () => {
    if (position >= end) return true;
    const quiet = before === found.length && found.length > 0;
    before = found.length;
    await new Promise((it) => setTimeout(it, 300));
    return quiet && before === found.length;
  });
  await consumer.disconnect();
  return found;
}

const values = async (...which) => (await read(...which)).map((it) => String(it.value));
const numbers = (from, to) => Array.from({ length: to - from }, (_, n) => String(from + n));

const tests = {
  async plain() {
    const name = await topic("plain"), producer = kafka.producer(), written = [];
    await producer.connect();
    for (const compression of [CompressionTypes.None, CompressionTypes.GZIP]) {
      for (const acks of [0, 1, -1]) {
        const batch = Array.from({ length: 50 }, (_, n) => `${compression} ${acks} ${n} naïve 北京`);
        await producer.send({ topic: name, acks, compression,
          messages: batch.map((value, n) => ({ key: `k${n}`, value, headers: { h: "1" }, timestamp: String(1_700_000_000_000 + n) })) });
        written.push(...batch);
      }
    }
    await until("all records", async () => Number((await admin.fetchTopicOffsets(name))[0].high) === written.length);
    const found = await read(name);
    equal(found.map((it) => String(it.value)), written, "values");
    equal([String(found[7].key), String(found[7].headers.h), found[7].timestamp], ["k7", "1", "1700000000007"], "the rest");
    await producer.disconnect();
  },

  async positions() {
    const name = await topic("positions"), producer = kafka.producer(), groupId = `${prefix}-positions`;
    await producer.connect();
    await producer.send({ topic: name, messages: numbers(0, 50).map((value, n) => ({ value, timestamp: String(1_700_000_000_000 + n * 1000) })) });
    equal((await admin.fetchTopicOffsetsByTimestamp(name, 1_700_000_020_500))[0].offset, "21", "by time");
    await admin.setOffsets({ groupId, topic: name, partitions: [{ partition: 0, offset: "40" }] });
    equal((await admin.fetchOffsets({ groupId, topics: [name] }))[0].partitions[0].offset, "40", "set");
    await admin.resetOffsets({ groupId, topic: name, earliest: true });
    equal((await admin.fetchOffsets({ groupId, topics: [name], resolveOffsets: true }))[0].partitions[0].offset, "0", "reset");
    await producer.disconnect();
  },

  async idempotent() {
    const name = await topic("idempotent"), producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    for (let n = 0; n < 50; n += 1) await producer.send({ topic: name, messages: [{ value: `${n}` }, { value: `${n}b` }] });
    equal(await values(name), numbers(0, 50).flatMap((n) => [n, `${n}b`]), "values");
    await producer.disconnect();
  },

  async transactional() {
    const name = await topic("transactional");
    const producer = kafka.producer({ transactionalId: `${prefix}-js`, idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    for (const [n, commit] of [true, false, true].entries()) {
      const transaction = await producer.transaction();
      await transaction.send({ topic: name, messages: numbers(n * 10, n * 10 + 10).map((value) => ({ value })) });
      await (commit ? transaction.commit() : transaction.abort());
    }
    equal(await values(name), [...numbers(0, 10), ...numbers(20, 30)], "committed");
    equal(await values(name, true), numbers(0, 30), "all");
    await producer.disconnect();
  },

  async transactional_fenced() {
    const name = await topic("fenced"), config = { transactionalId: `${prefix}-js-fenced`, idempotent: true, maxInFlightRequests: 1, retry: { retries: 2 } };
    const first = kafka.producer(config), second = kafka.producer(config);
    await first.connect();
    const open = await first.transaction();
    await open.send({ topic: name, messages: [{ value: "zombie" }] });
    await second.connect();
    const alive = await until("the second", () => second.transaction().catch(() => null));
    await fails("the first", open.send({ topic: name, messages: [{ value: "late" }] }));
    await alive.send({ topic: name, messages: [{ value: "alive" }] });
    await alive.commit();
    equal(await values(name), ["alive"], "committed");
    await first.disconnect();
    await second.disconnect();
  },

  async transactional_offsets() {
    const sink = await topic("tx-sink"), source = await topic("tx-source"), groupId = `${prefix}-js-offsets`;
    const producer = kafka.producer({ transactionalId: `${prefix}-js-offsets`, idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    const committed = async () => (await admin.fetchOffsets({ groupId, topics: [source] }))[0].partitions[0].offset;
    for (const [end, commit] of [[10, false], [10, true], [20, true]]) {
      const transaction = await producer.transaction();
      await transaction.send({ topic: sink, messages: numbers(end - 10, end).map((value) => ({ value })) });
      await transaction.sendOffsets({ consumerGroupId: groupId, topics: [{ topic: source, partitions: [{ partition: 0, offset: String(end) }] }] });
      await (commit ? transaction.commit() : transaction.abort());
      await until("the offset", async () => await committed() === (commit ? String(end) : "-1"));
    }
    equal(await values(sink), numbers(0, 20), "the sink");
    await producer.disconnect();
  },

  async grouped() {
    const name = await topic("grouped", 4), groupId = `${prefix}-grouped`, seen = new Set(), shares = [0, 0];
    const members = [0, 1].map(() => kafka.consumer({ groupId, sessionTimeout: 10_000 }));
    for (const [number, member] of members.entries()) {
      member.on(member.events.GROUP_JOIN, ({ payload }) => { shares[number] = (payload.memberAssignment[name] ?? []).length; });
      await member.connect();
      await member.subscribe({ topics: [name], fromBeginning: true });
      await member.run({ autoCommitThreshold: 1, eachMessage: async ({ partition, message }) => { seen.add(`${partition}@${message.offset}`); } });
    }
    const producer = kafka.producer();
    await producer.connect();
    await producer.send({ topic: name, messages: numbers(0, 400).map((value, n) => ({ value, partition: n % 4 })) });
    await until("fair shares and every record", () => shares[0] === 2 && shares[1] === 2 && seen.size === 400);
    await members[0].disconnect();
    await until("everything for one", () => shares[1] === 4);
    await members[1].disconnect();
    const offsets = (await admin.fetchOffsets({ groupId, topics: [name] }))[0].partitions.map((it) => it.offset);
    equal(offsets, ["100", "100", "100", "100"], "committed");
    await producer.disconnect();
  },

  async administrative() {
    const name = await topic("admin", 1, [{ name: "retention.ms", value: "1000" }]), groupId = `${prefix}-admin`;
    equal(await admin.createTopics({ topics: [{ topic: name }] }), false, "created twice");
    await admin.createPartitions({ topicPartitions: [{ topic: name, count: 3 }] });
    await until("three partitions", async () => (await admin.fetchTopicMetadata({ topics: [name] })).topics[0].partitions.length === 3);
    const resource = { type: ConfigResourceTypes.TOPIC, name };
    const config = async () => (await admin.describeConfigs({ resources: [resource] })).resources[0].configEntries
      .find((it) => it.configName === "retention.ms").configValue;
    equal(await config(), "1000", "retention.ms");
    await admin.alterConfigs({ validateOnly: false, resources: [{ ...resource, configEntries: [{ name: "retention.ms", value: "7000" }] }] });
    await until("the change", async () => await config() === "7000");
    const producer = kafka.producer(), records = await topic("admin-records");
    await producer.connect();
    await producer.send({ topic: records, messages: numbers(0, 10).map((value) => ({ value })) });
    equal((await admin.fetchTopicOffsets(records))[0].high, "10", "the end"); // without it the client does not know the leader
    await admin.deleteTopicRecords({ topic: records, partitions: [{ partition: 0, offset: "4" }] });
    equal((await admin.fetchTopicOffsets(records))[0].low, "4", "the beginning");
    await admin.setOffsets({ groupId, topic: name, partitions: [{ partition: 0, offset: "5" }] });
    equal((await admin.listGroups()).groups.some((it) => it.groupId === groupId), true, "listed");
    equal((await admin.describeGroups([groupId])).groups[0].state, "Empty", "described");
    await admin.deleteGroups([groupId]);
    const cluster = await admin.describeCluster();
    equal([cluster.brokers.length, typeof cluster.clusterId], [1, "string"], "the cluster");
    await admin.deleteTopics({ topics: [name] });
    await until("it to go", async () => !(await admin.listTopics()).includes(name));
    await producer.disconnect();
  },
};

async function main() {
  await admin.connect();
  for (const [test, run] of Object.entries(tests)) {
    const name = test.replaceAll("_", "-"), began = Date.now();
    if (wanted.length && !wanted.includes(name)) continue;
    try {
      await run();
      console.log(`ok: ${name}: ${((Date.now() - began) / 1000).toFixed(1)} s`);
    } catch (error) {
      console.log(`failed: ${name}: ${String(error.message).replaceAll("\n", " ")} ${JSON.stringify(error.partitions ?? [])}`);
    }
  }
  process.exit(0); // what a failed test left open ends here
}

main();
