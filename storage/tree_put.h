#pragma once

#include <stdbool.h>

#include "storage/tree.h"

struct evbuffer;

/* What stands first in the object of a file that is being written, wherever in the tree that is. See tree_put(). */
struct tree_put {
	const struct tree_put_methods *methods;
};
struct tree_put_methods {
	bool (*write)(struct tree_put *put, struct evbuffer *data);
	void (*commit)(struct tree_put *put, const char *etag, bool part);
	void (*abort)(struct tree_put *put);
	void (*leave)(struct tree_put *put);
};
