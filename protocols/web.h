#pragma once

struct http_request;

/*
 * The page: the files of protocols/web/, embedded in the binary and served from "/" with ETags and a
 * strict Content-Security-Policy. They hold nothing secret: whoever comes gets them, and is asked by them who he is.
 */
#define WEB_METHODS (HTTP_GET | HTTP_PUBLIC)
void web_get(struct http_request *request);
