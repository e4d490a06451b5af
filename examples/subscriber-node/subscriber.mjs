// The same in JavaScript, minimal: the current state of all records, in one JSON file.
//   npm ci; node subscriber.mjs host:port group [file]
// Kafka stores the position, which is committed after the file is written: after a crash some events come twice and are
// ignored by their version.
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { Kafka } from "kafkajs";

const [servers, groupId, file = "records.json"] = process.argv.slice(2);
const topics = ["records.changes", "identity.changes"];
const { records, erased } = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : { records: {}, erased: {} };

function take({ key, value, headers }) {
  const id = key.toString();
  if (value === null) {
    delete records[id]; // a tombstone: remove everything about this record
    return;
  }
  const type = headers.ce_type.toString();
  const { version, practitioner_id, kind, state, data } = JSON.parse(value);
  if (type === "identity.practitioner.erased.v1") erase(practitioner_id);
  const stored = records[id];
  if (erased[practitioner_id] || stored?.version >= version) return;
  if (type === "records.record.changed.v1") records[id] = { version, practitioner_id, kind, state, data };
  if (type === "publication.failed.v1" && stored) stored.out_of_date = true;
}

// Later events of this person are ignored: the other topic may still have older ones.
function erase(practitioner) {
  erased[practitioner] = true;
  for (const id in records) if (records[id].practitioner_id === practitioner) delete records[id];
}

function save() {
  writeFileSync(`${file}.new`, JSON.stringify({ records, erased }));
  renameSync(`${file}.new`, file); // atomic
}

// TLS, and the Kafka user and password of your system.
const { KAFKA_USER: username, KAFKA_PASSWORD: password, KAFKA_CA: ca } = process.env;
const security = username && {
  ssl: { ca: ca && readFileSync(ca) },
  sasl: { mechanism: "scram-sha-512", username, password },
};

const kafka = new Kafka({ brokers: servers.split(","), ...security });
const consumer = kafka.consumer({ groupId, sessionTimeout: 10_000, readUncommitted: false });
await consumer.connect();
await consumer.subscribe({ topics, fromBeginning: true });
await consumer.run({
  autoCommit: false,
  eachBatch: async ({ batch }) => {
    batch.messages.forEach(take);
    save();
    const { topic, partition, messages } = batch;
    await consumer.commitOffsets([{ topic, partition, offset: String(BigInt(batch.lastOffset()) + 1n) }]);
    console.log(`${topic} ${partition}: ${messages.length} events, ${Object.keys(records).length} records`);
  },
});
