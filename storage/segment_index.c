/* The sample tables of a file that is being written. */
#include <errno.h>
#include <stdlib.h>

#include "server/base/memory.h"
#include "storage/segment_private.h"

enum {
	MDAT_HEADER = 8
};

struct segment_index {
	struct fragment_init *init;
	char *camera;
	int64_t created_us; /* 0: unknown */
	struct mp4_movie movie;
	struct segment_tables tables;
	int error; /* the first one */
};

static const uint8_t *init_moov(const struct fragment_init *init)
{
	return init->data + init->ftyp_bytes;
}

static size_t init_moov_bytes(const struct fragment_init *init)
{
	return init->bytes - init->ftyp_bytes;
}

struct segment_index *segment_index_new(
	struct fragment_init *init, const char *camera, int64_t origin_us, int64_t boot_us)
{
	struct segment_index *index = xcalloc(1, sizeof(*index));
	const char *why;

	index->init = fragment_init_ref(init);
	index->camera = xstrdup(camera);
	index->created_us = boot_us ? 0 : origin_us;
	index->tables.is_large = true; /* how long the file will be nobody knows */
	index->error = mp4_moov_parse(&index->movie, init_moov(init), init_moov_bytes(init), &why);
	return index;
}

/* Reads the fragment's head as closing would find it in the file. */
void segment_index_add(struct segment_index *index, const struct fragment *fragment,
	int64_t origin_us, uint64_t offset)
{
	struct segment_walk walk = {
		.movie = index->movie,
		.moof_at = offset,
		.moof = xmalloc(fragment->head_bytes),
		.moof_bytes = fragment->head_bytes - MDAT_HEADER,
	};
	const char *why;

	fragment_write_head(fragment, origin_us, walk.moof);
	if (!index->error)
		index->error = mp4_moof_parse(
			&walk.fragment, walk.moof, walk.moof_bytes, &walk.movie, &why);
	if (!index->error)
		index->error = segment_tables_add(&index->tables, &walk);
	segment_walk_end(&walk);
}

int segment_index_write(struct segment_index *index, struct box_writer *w)
{
	if (index->error || !index->tables.samples)
		return index->error ? index->error : -ENODATA;
	segment_tables_finish(&index->tables);
	return segment_moov_write(w, &(struct segment_moov){ .p = init_moov(index->init),
					     .n = init_moov_bytes(index->init),
					     .created_us = index->created_us,
					     .camera = index->camera,
					     .movie = &index->movie,
					     .tables = &index->tables });
}

void segment_index_free(struct segment_index *index)
{
	if (!index)
		return;
	segment_tables_fini(&index->tables);
	fragment_init_unref(&index->init);
	free(index->camera);
	free(index);
}
