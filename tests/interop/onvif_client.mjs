// Connects as to a camera, and says each thing that it has: node onvif_client.mjs HOST PORT USER PASSWORD
import { say, withCamera } from "./onvif_package.mjs";

withCamera(async (ask, cam) => {
	say("information", await ask("getDeviceInformation"));
	say("profiles", (await ask("getProfiles")).map(profile => profile.$.token));
	say("stream", (await ask("getStreamUri", { protocol: "RTSP" })).uri);
	say("snapshot", (await ask("getSnapshotUri")).uri);
	cam.on("event", event => say("event", event));
});
