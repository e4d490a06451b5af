// Initiates the replica set and creates a user with minimal rights for each service; idempotent. Runs on
// mongod's localhost, where an empty database allows the creation of its first user without a password.
const fs = require("fs");
const ADDRESS = process.env.MONGO_ADDRESS || "mongo:27017";
const PASSWORDS = process.env.PASSWORDS || "/run/secrets"; // a file for root and one for each service
const EXPORTER = "server-exporter"; // reads the state of the servers, no data
const SERVICES = fs.readdirSync(PASSWORDS).filter((name) => name !== "root" && name !== EXPORTER);
const admin = db.getSiblingDB("admin");
const password = (name) => fs.readFileSync(`${PASSWORDS}/${name}`, "utf8").trim();

function primary() {
    for (let tries = 0; tries < 120; tries++) {
        if (db.hello().isWritablePrimary) return;
        sleep(500);
    }
    throw new Error("the replica set has no primary");
}

function makeRoot() {
    try { rs.initiate({ _id: "rs0", members: [{ _id: 0, host: ADDRESS }] }); } catch (error) {
        if (error.codeName !== "AlreadyInitialized") throw error;
    }
    primary();
    admin.createUser({ user: "root", pwd: password("root"), roles: ["root"] });
    admin.auth("root", password("root"));
}

// No user may drop or rename a collection, because that would end the change stream.
function role(service) {
    const actions = ["find", "insert", "update", "remove", "changeStream", "createCollection", "createIndex",
        "dropIndex", "collMod", "listCollections", "listIndexes"];
    const oplog = { resource: { db: "local", collection: "oplog.rs" }, actions: ["find"] }; // decision 0007
    return { privileges: [{ resource: { db: service, collection: "" }, actions }, oplog], roles: [] };
}

try { admin.auth("root", password("root")); } catch (error) { makeRoot(); }
primary();
const exporter = { pwd: password(EXPORTER), roles: ["clusterMonitor"] };
if (admin.getUser(EXPORTER)) admin.updateUser(EXPORTER, exporter);
else admin.createUser({ user: EXPORTER, ...exporter });
for (const service of SERVICES) {
    const user = { pwd: password(service), roles: [service] };
    if (admin.getRole(service)) admin.updateRole(service, role(service));
    else admin.createRole({ role: service, ...role(service) });
    if (admin.getUser(service)) admin.updateUser(service, user);
    else admin.createUser({ user: service, ...user });
}
