// node ajv.mjs SCHEMAS MESSAGES: each schema in strict mode, each message by its folder's schema; one JSON line for each.
import fs from "node:fs";
import path from "node:path";
import Ajv from "ajv/dist/2020.js";

const [schemas, messages] = process.argv.slice(2);
for (const name of fs.readdirSync(schemas)) {
  const topic = name.replace(".schema.json", "");
  const ajv = new Ajv.default({ strict: true });
  const valid = ajv.compile(JSON.parse(fs.readFileSync(path.join(schemas, name))));
  for (const file of fs.readdirSync(path.join(messages, topic)))
    console.log(JSON.stringify([topic, file, valid(JSON.parse(fs.readFileSync(path.join(messages, topic, file))))]));
}
