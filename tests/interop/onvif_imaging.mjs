// The npm package `onvif` sets a camera's picture; a line of JSON for each answer. The arguments: host, port, user, password.
import { createRequire } from "node:module";

const require = createRequire(import.meta.url); // finds it in NODE_PATH
const { Cam } = require("onvif");
const [hostname, port, username, password] = process.argv.slice(2);

function say(what, value) {
	console.log(JSON.stringify({ what, value }));
}

const cam = new Cam({ hostname, port: Number(port), username, password, timeout: 30000 }, error => {
	const ask = (name, ...words) => new Promise((resolve, reject) => cam[name](...words, (e, value) => e ? reject(e) : resolve(value)));
	const work = async () => {
		if (error)
			throw error;
		say("capabilities", await ask("getImagingServiceCapabilities"));
		say("before", await ask("getImagingSettings"));
		say("options", await ask("getVideoSourceOptions", {}));
		await ask("setImagingSettings", { brightness: 33, contrast: 44.5, exposure: { mode: "MANUAL", exposureTime: 20000 }, focus: { autoFocusMode: "AUTO" }, sharpness: 7, irCutFilter: "OFF" });
		say("after", await ask("getImagingSettings"));
		say("moves", await ask("imagingGetMoveOptions", {}));
		await ask("imagingMove", { continuous: { speed: -3 } });
		await ask("imagingStop", {});
		say("status", await ask("imagingGetStatus", {}));
		say("end", true);
	};
	work().catch(problem => {
		say("error", problem.message);
		process.exitCode = 1;
	});
});
