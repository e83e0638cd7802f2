#pragma once

struct http_request;

/*
 * The page: the files of protocols/web/, embedded in the binary and served from "/" with ETags and a
 * strict Content-Security-Policy.
 */
void web_get(struct http_request *request);
