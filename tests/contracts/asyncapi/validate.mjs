// node validate.mjs FILE: what the official parser says about an AsyncAPI document; errors and warnings end with 1.
import { DiagnosticSeverity, Parser, fromFile } from "@asyncapi/parser";

const { document, diagnostics } = await fromFile(new Parser(), process.argv[2]).parse();
const wrong = diagnostics.filter(({ severity }) => severity <= DiagnosticSeverity.Warning);
for (const { code, message, path } of wrong) console.log(`${path.join("/")}: ${message} (${code})`);
if (document) console.log(`${document.messages().length} messages`);
process.exit(wrong.length || !document ? 1 : 0);
