from lsfa_lite.report_page.folder import Report as Report
from lsfa_lite.report_page.folder import open_report as open_report
from lsfa_lite.report_page.rows import About as About
from lsfa_lite.report_page.rows import Row as Row
