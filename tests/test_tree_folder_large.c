/* Large files that are written into uploads/: block by block past the page cache, where the file system can, and so many at once. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/base/memory.h"
#include "tests/reactor_until.h"
#include "tests/tree_writing.h"

enum {
	LARGE_BYTES = (20 << 20) + 12345,
	BY_BLOCKS_FROM = 18 << 20, /* surely */
	BY_BLOCKS_TO = 19 << 20,
	PIECE_BYTES = 333333,
	BLOCK_BYTES = 1 << 20,
	KEPT_BYTES = 16 << 20, /* as much as makes a file large */
	LARGE_MOST = 32,
	TMPFS = 0x01021994
};

/* --- the file system, which may refuse O_DIRECT --- */

static enum {
	AS_IT_IS,
	REFUSES_FLAG,
	REFUSES_BLOCKS, /* from the third on */
	TAKES_ALL       /* and makes no copies, but files with holes */
} file_system;
static _Atomic unsigned blocks; /* that were written, or refused */

int __wrap_fcntl(int fd, int command, ...);
int __real_fcntl(int fd, int command, ...);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_copy_file_range(
	int from, off64_t *from_at, int to, off64_t *to_at, size_t n, unsigned flags);
ssize_t __real_copy_file_range(
	int from, off64_t *from_at, int to, off64_t *to_at, size_t n, unsigned flags);

int __wrap_fcntl(int fd, int command, ...)
{
	va_list words;
	long argument;

	va_start(words, command);
	argument = va_arg(words, long);
	va_end(words);
	if (command == F_SETFL && file_system == TAKES_ALL)
		return 0;
	if (command == F_SETFL && argument & O_DIRECT && file_system == REFUSES_FLAG) {
		errno = EINVAL;
		return -1;
	}
	return __real_fcntl(fd, command, argument);
}

ssize_t __wrap_write(int fd, const void *p, size_t n)
{
	if (n == BLOCK_BYTES && ++blocks > 2 && file_system == REFUSES_BLOCKS) {
		errno = EINVAL;
		return -1;
	}
	return __real_write(fd, p, n);
}

ssize_t __wrap_copy_file_range(
	int from, off64_t *from_at, int to, off64_t *to_at, size_t n, unsigned flags)
{
	if (file_system != TAKES_ALL)
		return __real_copy_file_range(from, from_at, to, to_at, n, flags);
	if (lseek(from, (off_t)n, SEEK_CUR) < 0 || ftruncate(to, lseek(to, (off_t)n, SEEK_CUR)) < 0)
		return -1;
	return (ssize_t)n;
}

/* --- what is written --- */

static uint8_t large_byte(size_t at)
{
	return (uint8_t)(at * 31 + (at >> 12));
}

/* Writes the bytes of a large file from `at` on. */
static void write_large(struct writing *w, size_t at)
{
	struct evbuffer *data = evbuffer_new();
	uint8_t *piece = xmalloc(PIECE_BYTES);

	while (at < LARGE_BYTES) {
		size_t n = LARGE_BYTES - at < PIECE_BYTES ? LARGE_BYTES - at : PIECE_BYTES;

		for (size_t i = 0; i < n; i++)
			piece[i] = large_byte(at + i);
		(void)evbuffer_add(data, piece, n);
		w->drained = false;
		if (!tree_put_write(w->put, data))
			REACTOR_UNTIL(w->drained);
		at += n;
	}
	evbuffer_free(data);
	free(piece);
}

static bool is_on_tmpfs(void)
{
	struct statfs st;

	return statfs(folder, &st) == 0 && st.f_type == TMPFS;
}

/* Looks whether it is all there; before, whether what went by blocks stayed out of the page cache, as far as this file system can. */
static void expect_large(const char *path, bool past_cache)
{
	unsigned char resident[BY_BLOCKS_TO / 4096];
	char *name = on_disk(path);
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	size_t n = (BY_BLOCKS_TO - BY_BLOCKS_FROM) / (size_t)sysconf(_SC_PAGESIZE), cached = 0;
	uint8_t *p = mmap(NULL, LARGE_BYTES, PROT_READ, MAP_PRIVATE, fd, 0);
	struct stat st = { 0 };

	assert_true(p != MAP_FAILED);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, LARGE_BYTES);
	assert_int_equal(
		mincore(p + BY_BLOCKS_FROM, n * (size_t)sysconf(_SC_PAGESIZE), resident), 0);
	for (size_t i = 0; i < n; i++)
		cached += resident[i] & 1;
	assert_true(!past_cache || cached == 0 || is_on_tmpfs());
	for (size_t i = 0; i < LARGE_BYTES; i++) {
		if (p[i] != large_byte(i))
			fail_msg("byte %zu is another one", i);
	}
	(void)munmap(p, LARGE_BYTES);
	close(fd);
	free(name);
}

/* --- tests --- */

static void test_large_files_go_past_the_page_cache(void **state)
{
	static const size_t keeps[] = { 0, 4097, 17 << 20 };
	struct writing w;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(keeps); i++) {
		(void)begin_after("/uploads/a.bin", keeps[i], &w);
		assert_true(w.begun);
		write_large(&w, keeps[i]);
		assert_int_equal(commit(&w, NULL), 0);
		expect_large("/uploads/a.bin", true);
	}
	(void)begin("/uploads/b.bin", &w);
	write_large(&w, 0);
	tree_put_abort(w.put);
	expect_no_parts("/uploads");
	(void)begin("/uploads/b.bin", &w);
	write_large(&w, 0);
	tree_put_commit_part(w.put, NULL);
	REACTOR_UNTIL(w.ended);
	assert_int_equal(w.error, 0);
	expect_large("/uploads/b.bin", true);
}

static void test_where_it_cannot_be_they_go_through_it(void **state)
{
	static const struct {
		int refuses;
		unsigned blocks;
	} cases[] = {
		{REFUSES_FLAG,    0},
                { REFUSES_BLOCKS, 3}, /* it is not tried again and again */
	};
	struct writing w;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		file_system = cases[i].refuses;
		blocks = 0;
		(void)begin("/uploads/refused.bin", &w);
		write_large(&w, 0);
		assert_int_equal(commit(&w, NULL), 0);
		assert_int_equal(blocks, cases[i].blocks);
		expect_large("/uploads/refused.bin", false);
	}
	file_system = AS_IT_IS;
}

/* Goes on with a file of 16 MiB, by one block. */
static void begin_large(struct writing *w)
{
	struct evbuffer *data = evbuffer_new();
	uint8_t *p = xcalloc(1, BLOCK_BYTES);

	(void)begin_after("/uploads/kept.bin", KEPT_BYTES, w);
	assert_true(w->begun);
	(void)evbuffer_add(data, p, BLOCK_BYTES);
	assert_true(tree_put_write(w->put, data));
	evbuffer_free(data);
	free(p);
}

/* Further ones are written as small ones are, until one has ended. */
static void test_so_many_at_once_are_written_by_blocks(void **state)
{
	struct writing large[LARGE_MOST], w;
	char *name = on_disk("/uploads/kept.bin");

	(void)state;
	assert_int_equal(close(open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
	assert_int_equal(truncate(name, KEPT_BYTES), 0);
	free(name);
	file_system = TAKES_ALL;
	blocks = 0;
	for (size_t i = 0; i < LARGE_MOST; i++)
		begin_large(&large[i]);
	begin_large(&w);
	assert_int_equal(commit(&w, NULL), 0);
	REACTOR_UNTIL(blocks == LARGE_MOST);
	tree_put_abort(large[0].put);
	begin_large(&large[0]);
	REACTOR_UNTIL(blocks == LARGE_MOST + 1);
	assert_int_equal(commit(&large[1], NULL), 0);
	begin_large(&large[1]);
	REACTOR_UNTIL(blocks == LARGE_MOST + 2);
	begin_large(&w);
	assert_int_equal(commit(&w, NULL), 0);
	assert_int_equal(blocks, LARGE_MOST + 2);
	for (size_t i = 0; i < LARGE_MOST; i++)
		tree_put_abort(large[i].put);
	expect_no_parts("/uploads");
	file_system = AS_IT_IS;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_large_files_go_past_the_page_cache),
		cmocka_unit_test(test_where_it_cannot_be_they_go_through_it),
		cmocka_unit_test(test_so_many_at_once_are_written_by_blocks),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
