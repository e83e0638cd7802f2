#pragma once

struct http_request;

/*
 * GET below /live/: finds the camera's stream and hands the request to whoever makes that file
 * (hls, mp4_live). "/live/" itself lists the cameras that the user may see, as an HTML list.
 */
void live_get(struct http_request *request);
