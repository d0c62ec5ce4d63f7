SELECT page_size.page_size, page_count.page_count, freelist_count.freelist_count
FROM pragma_page_size AS page_size, pragma_page_count AS page_count, pragma_freelist_count AS freelist_count
