// The npm package `onvif` looks for cameras; a line of JSON with the addresses of each one that it has found. The argument: an interface.
import { createRequire } from "node:module";

const require = createRequire(import.meta.url); // finds it in NODE_PATH
const { Discovery } = require("onvif");

Discovery.on("device", cam => console.log(JSON.stringify(cam.xaddrs.map(String))));
Discovery.on("error", problem => console.log(JSON.stringify({ error: String(problem) })));
Discovery.probe({ device: process.argv[2], timeout: 3000 });
