// The round trip by KafkaJS: BOOTSTRAP TOPIC.
const { CompressionTypes, Kafka, logLevel } = require("kafkajs");

const [bootstrap, topic] = process.argv.slice(2);
const compressions = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP };
const records = 500, everything = records * Object.keys(compressions).length, patience = 60_000;
const kafka = new Kafka({ clientId: "kafkajs", brokers: [bootstrap], logLevel: logLevel.ERROR });

function expect(holds, why) {
  if (!holds) throw new Error(why);
}

async function produce() {
  const producer = kafka.producer({ idempotent: true });
  await producer.connect();
  for (const [name, compression] of Object.entries(compressions)) {
    const messages = Array.from({ length: records }, (_, n) => (
      { key: `k${n % 10}`, value: `${name} ${n} naïve 北京`, headers: { client: "kafkajs" } }));
    await producer.send({ topic, compression, messages, acks: -1 });
  }
  await producer.disconnect();
  console.log("ok: produced");
}

async function consume() {
  const seen = new Set(), shares = [0, 0], wrong = [];
  const members = [0, 1].map(() => kafka.consumer({ groupId: topic }));
  for (const [number, member] of members.entries()) {
    member.on(member.events.GROUP_JOIN, ({ payload }) => {
      shares[number] = (payload.memberAssignment[topic] ?? []).length;
    });
    await member.connect();
    await member.subscribe({ topics: [topic], fromBeginning: true });
    await member.run({ autoCommitThreshold: 1, eachMessage: async ({ partition, message }) => {
      if (String(message.headers.client) !== "kafkajs") wrong.push(message.headers);
      seen.add(`${partition}@${message.offset}`);
    } });
  }
  const until = Date.now() + patience;
  while (Date.now() < until && !(seen.size === everything && shares[0] && shares[1] && shares[0] + shares[1] === 3)) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const found = [...shares];
  for (const member of members) await member.disconnect();
  expect(found[0] && found[1] && found[0] + found[1] === 3, `the shares are ${found}`);
  expect(seen.size === everything, `${seen.size} of ${everything} records were seen`);
  expect(wrong.length === 0, `headers ${JSON.stringify(wrong[0])}`);
  console.log(`ok: two members share ${found} and see everything`);
}

async function main() {
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: 3 }], waitForLeaders: true });
  await produce();
  await consume();
  const sum = (offsets) => offsets.reduce((total, it) => total + Number(it.offset), 0);
  const committed = sum((await admin.fetchOffsets({ groupId: topic, topics: [topic] }))[0].partitions);
  const ends = sum(await admin.fetchTopicOffsets(topic));
  expect(committed === ends && ends === everything, `${committed} committed of ${ends}`);
  console.log("ok: all is committed");
  await admin.disconnect();
}

main().catch((error) => { console.error(error); process.exit(1); });
