// The npm package `onvif` connects as to a camera; a line of JSON for each thing that it has. The arguments: host, port, user, password.
import { createRequire } from "node:module";

const require = createRequire(import.meta.url); // finds it in NODE_PATH
const { Cam } = require("onvif");
const [hostname, port, username, password] = process.argv.slice(2);

function say(what, value) {
	console.log(JSON.stringify({ what, value }));
}

const cam = new Cam({ hostname, port: Number(port), username, password, timeout: 10000 }, error => {
	if (error) {
		say("error", error.message);
		process.exit(1);
	}
	const ask = (name, ...words) => new Promise((resolve, reject) => cam[name](...words, (e, value) => e ? reject(e) : resolve(value)));
	const work = async () => {
		say("information", await ask("getDeviceInformation"));
		say("profiles", (await ask("getProfiles")).map(profile => profile.$.token));
		say("stream", (await ask("getStreamUri", { protocol: "RTSP" })).uri);
		say("snapshot", (await ask("getSnapshotUri")).uri);
		cam.on("event", event => say("event", event));
	};
	work().catch(problem => say("error", problem.message));
});
