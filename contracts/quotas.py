"""The quotas of one person, and the sentence with which each is refused (kit.http.quotas)."""

QUOTAS = {
    "uploads": "上传文件的次数过多",
    "downloads": "查看和下载文件的次数过多",
    "exports": "导出和打印的次数过多",
    "records": "保存记录的次数过多",
}
