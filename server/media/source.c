#include "server/media/source.h"

#include <stddef.h>

/* The words and metric labels of source ends. */

static const struct {
	const char *metric, *words;
} source_ends[] = {
#define X(id, metric, words) [id] = { metric, words },
	SOURCE_ENDS(X)
#undef X
};

const char *source_end_metric(enum source_end end)
{
	return source_ends[end].metric;
}

const char *source_end_words(enum source_end end)
{
	return source_ends[end].words;
}
