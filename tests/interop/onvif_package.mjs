// A camera by the npm package `onvif`; a line of JSON for each answer. The arguments of who imports this: host, port, user, password.
import { createRequire } from "node:module";

const require = createRequire(import.meta.url); // finds it in NODE_PATH
const { Cam } = require("onvif");
const [hostname, port, username, password] = process.argv.slice(2);

export function say(what, value) {
	console.log(JSON.stringify({ what, value }));
}

// Connects, and does the work: ask(method, ...arguments) promises an answer. What goes wrong is said.
export function withCamera(work) {
	const cam = new Cam({ hostname, port: Number(port), username, password, timeout: 30000 }, error => {
		const ask = (name, ...words) => new Promise((resolve, reject) => cam[name](...words, (e, value) => e ? reject(e) : resolve(value)));
		(error ? Promise.reject(error) : work(ask, cam)).catch(problem => {
			say("error", problem.message);
			process.exitCode = 1;
		});
	});
}
