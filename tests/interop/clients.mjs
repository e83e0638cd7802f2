// Two clients of npm, `webdav` and `basic-ftp`, with what they can; a line of JSON for each thing that has to hold. The job is on stdin.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const require = createRequire(import.meta.url); // finds them in NODE_PATH
const { AuthType, createClient } = await import(pathToFileURL(require.resolve("webdav")));
const ftp = require("basic-ftp");
const job = JSON.parse(readFileSync(0));

function holds(condition, name, detail) {
	console.log(JSON.stringify({ holds: Boolean(condition), name, detail: condition ? "" : JSON.stringify(detail) ?? "" }));
}

// What a refusal says of itself, or "nothing was refused".
async function refused(promise) {
	try {
		await promise;
	} catch (error) {
		return error.status ?? error.code;
	}
	return "nothing was refused";
}

async function collect(stream) {
	const pieces = [];
	for await (const piece of stream)
		pieces.push(piece);
	return Buffer.concat(pieces);
}

async function checkWebdav(label, authType) {
	const client = createClient(job.http, { authType, username: job.user, password: job.password });
	const top = "/uploads/webdav äö";
	const data = Buffer.from(Array.from({ length: 300000 }, (_, i) => (i * 31) % 256));

	await client.createDirectory(top);
	await client.putFileContents(`${top}/a.bin`, data);
	holds(data.equals(Buffer.from(await client.getFileContents(`${top}/a.bin`))), `webdav by ${label}: a file there and back`);
	holds((await client.putFileContents(`${top}/a.bin`, "x", { overwrite: false })) === false, "webdav: what is there is not overwritten when it shall not be");
	const part = await collect(client.createReadStream(`${top}/a.bin`, { range: { start: 1000, end: 1999 } }));
	holds(part.equals(data.subarray(1000, 2000)), "webdav: a range of it", part.length);
	await new Promise((resolve, reject) => {
		const stream = client.createWriteStream(`${top}/b.bin`, {}, resolve);
		stream.on("error", reject);
		stream.end(data);
	});
	await client.copyFile(`${top}/b.bin`, `${top}/c %.bin`);
	await client.moveFile(`${top}/b.bin`, `${top}/d.bin`);
	const names = (await client.getDirectoryContents(top)).map((entry) => [entry.basename, entry.size, entry.type]).sort();
	holds(JSON.stringify(names) === JSON.stringify(["a.bin", "c %.bin", "d.bin"].map((name) => [name, data.length, "file"])), "webdav: streamed, copied, moved and listed", names);
	const lock = await client.lock(`${top}/a.bin`);
	const other = createClient(job.http, { authType: AuthType.Password, username: job.user, password: job.password });
	holds((await refused(other.deleteFile(`${top}/a.bin`))) === 423, "webdav: what is locked stays");
	await client.unlock(`${top}/a.bin`, lock.token);
	holds((await client.getDAVCompliance(top)).compliance.includes("2"), "webdav: the class");
	await client.deleteFile(top);
	holds(!(await client.exists(top)), "webdav: and gone again");
}

async function checkRecordings() {
	const client = createClient(job.http, { authType: AuthType.Digest, username: job.user, password: job.password });
	const entries = await client.getDirectoryContents(job.day);
	const { filename, size } = entries[0];
	holds(entries.length === job.recordings && entries.every((entry) => entry.size === job.size && entry.mime === "video/mp4"), `webdav: ${entries.length} recordings`, entries[0]);
	holds(Buffer.from(await client.getFileContents(filename)).length === size, "webdav: one of them");
	holds((await refused(client.putFileContents(`${job.day}/new.mp4`, "x"))) === 403, "webdav: none can be put");
	const found = await client.search("/recordings/", {
		data: `<searchrequest xmlns="DAV:"><basicsearch><select><allprop/></select><from><scope><href>${job.day}/</href><depth>1</depth></scope></from>
			<where><eq><prop><displayname/></prop><literal>${filename.split("/").pop()}</literal></eq></where></basicsearch></searchrequest>`,
	});
	holds(found.results.length === 1 && found.results[0].filename === filename, "webdav: search finds it", found);
}

async function checkFtp() {
	const client = new ftp.Client(20000);
	await client.access({ host: "127.0.0.1", port: job.port, user: job.user, password: job.password, secure: true, secureOptions: { rejectUnauthorized: false } });
	await client.ensureDir("/uploads/basic-ftp/deep");
	await client.cd("/uploads/basic-ftp");
	await client.uploadFromDir(job.source);
	await client.downloadToDir(job.target);
	const listed = await client.list(job.day);
	holds(listed.length === job.recordings && listed.every((entry) => entry.isFile && entry.size === job.size && entry.modifiedAt), `basic-ftp: ${listed.length} recordings by TLS`, listed[0]);
	const name = (await client.list()).find((entry) => entry.isDirectory && entry.name !== "deep").name;
	await client.rename(name, "renamed");
	const file = (await client.list("renamed"))[0];
	holds((await client.size(`renamed/${file.name}`)) === file.size && (await client.lastMod(`renamed/${file.name}`)) instanceof Date, "basic-ftp: SIZE and MDTM are what the listing says", file);
	holds((await refused(client.remove(`${job.day}/none.mp4`))) === 550, "basic-ftp: what is not there is not deleted");
	await client.removeDir("/uploads/basic-ftp");
	holds(!(await client.list("/uploads")).some((entry) => entry.name === "basic-ftp"), "basic-ftp: and gone again");
	client.close();
}

await checkWebdav("Digest", AuthType.Digest);
await checkWebdav("Basic", AuthType.Password);
await checkRecordings();
await checkFtp();
